# No container sets, and no published histograms.


rule strategies_from_none:
    """Empty container sets and histograms, for studies that have none."""
    output:
        strategies=list(stage_tables("strategies").values()),
        histograms=list(stage_tables("histograms").values()),
    log:
        log_of("strategies_from_none"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("write_empty_tables.py"),
    script:
        "../../scripts/write_empty_tables.py"
