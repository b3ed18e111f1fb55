# Made-up container sets; the paper's histograms are not in the sample.


rule strategies_from_sample:
    """Three made-up container sets, drawn with a seed."""
    input:
        ecosystem=house("resources/sample/ecosystem.yaml"),
    output:
        **stage_tables("strategies"),
    log:
        log_of("strategies_from_sample"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("strategies_from_sample.py"),
        seed=config["seed"],
    script:
        "../../scripts/strategies_from_sample.py"


rule histograms_from_sample:
    """An empty table in place of the paper's own histograms, and a note of it."""
    output:
        **stage_tables("histograms"),
    log:
        log_of("histograms_from_sample"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("histograms_from_sample.py"),
    script:
        "../../scripts/histograms_from_sample.py"
