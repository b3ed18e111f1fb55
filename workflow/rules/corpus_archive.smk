# Dockerfiles of the published archive.


rule corpus_from_archive:
    """Every Dockerfile of the archive, its instructions and build stages."""
    input:
        archive=ARCHIVE,
    output:
        **stage_tables("corpus"),
    log:
        log_of("corpus_from_archive"),
    benchmark:
        benchmark_of("corpus_from_archive")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("corpus_from_archive.py"),
    script:
        "../../scripts/corpus_from_archive.py"
