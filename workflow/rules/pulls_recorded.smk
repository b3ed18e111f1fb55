# Pull runs that a study of ours has measured before, and whose tables are kept in the repository.


rule pulls_from_record:
    """Pulls that were measured before, elsewhere: the tables of that study as they are."""
    input:
        **{
            name: find_file(f"{config['pulls']['recorded']}/{name}.parquet")
            for name in STAGES["pulls_recorded"]
        },
    output:
        **stage_tables("pulls_recorded"),
    log:
        log_of("pulls_from_record"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        code=code_digest("pulls_from_record.py"),
    script:
        "../../scripts/pulls_from_record.py"
