# Container sets and cosine histograms of the published archive.


rule strategies_from_archive:
    """Layers of the container sets: the same applications built in different ways."""
    input:
        archive=ARCHIVE,
    output:
        **stage_tables("strategies"),
    log:
        log_of("strategies_from_archive"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("strategies_from_archive.py"),
    script:
        "../../scripts/strategies_from_archive.py"


rule histograms_from_archive:
    """The cosine histograms that the paper published."""
    input:
        archive=ARCHIVE,
    output:
        **stage_tables("histograms"),
    log:
        log_of("histograms_from_archive"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("histograms_from_archive.py"),
    script:
        "../../scripts/histograms_from_archive.py"
