# Manifests and configs of the published archive.


rule registry_from_archive:
    """Tags, images, layers and history of every repository in the archive."""
    input:
        archive=ARCHIVE,
    output:
        **stage_tables("registry"),
    log:
        log_of("registry_from_archive"),
    benchmark:
        benchmark_of("registry_from_archive")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("registry_from_archive.py"),
    script:
        "../../scripts/registry_from_archive.py"
