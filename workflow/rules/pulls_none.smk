# No pull runs.


rule pulls_from_none:
    """Empty pull runs, for studies that have none."""
    output:
        **stage_tables("pulls_none"),
    log:
        log_of("pulls_from_none"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("write_empty_tables.py"),
    script:
        "../../scripts/write_empty_tables.py"
