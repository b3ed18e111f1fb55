# Pull runs of the published archive, out of their events.


rule pulls_from_archive:
    """Every pull, node and job that the archive's event logs tell of."""
    input:
        archive=ARCHIVE,
    output:
        **stage_tables("pulls_replay"),
    log:
        log_of("pulls_from_archive"),
    benchmark:
        benchmark_of("pulls_from_archive")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("pulls_from_archive.py"),
    script:
        "../../scripts/pulls_from_archive.py"
