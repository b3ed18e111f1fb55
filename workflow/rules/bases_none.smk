# No classification by base image.


rule bases_from_none:
    """An empty classification, for studies that have none."""
    output:
        **stage_tables("bases"),
    log:
        log_of("bases_from_none"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("write_empty_tables.py"),
    script:
        "../../scripts/write_empty_tables.py"
