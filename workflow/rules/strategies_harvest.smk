# Container sets of today, from their registries; the paper's own histograms have no place in it.


rule harvest_container_sets:
    """Manifests and configs of the container sets, asked of their registries."""
    output:
        **stage_tables("strategies"),
    log:
        log_of("harvest_container_sets"),
    conda:
        "../../environment.yml"
    params:
        sets=config["strategies"]["sets"],
        options=config["registry"],
    script:
        "../../scripts/harvest_container_sets.py"


rule histograms_from_harvest:
    """Empty histograms: what the paper published is not asked of registries."""
    output:
        tables=list(stage_tables("histograms").values()),
    log:
        log_of("histograms_from_harvest"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("write_empty_tables.py"),
    script:
        "../../scripts/write_empty_tables.py"
