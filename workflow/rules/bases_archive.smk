# The archive's own classification of images by base image.


rule bases_from_archive:
    """Base image and score of each classified image (Table III)."""
    input:
        archive=ARCHIVE,
    output:
        **stage_tables("bases"),
    log:
        log_of("bases_from_archive"),
    benchmark:
        benchmark_of("bases_from_archive")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("bases_from_archive.py"),
    script:
        "../../scripts/bases_from_archive.py"
