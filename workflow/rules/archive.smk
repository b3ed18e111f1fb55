# The published archive, for every stage whose source is `archive`.

from pullstudy.archive.record import identify_archive

ARCHIVE = f"{RESULTS}/raw/archive.json"


rule obtain_archive:
    """The published archive: found or downloaded, and checked."""
    output:
        record=ARCHIVE,
    log:
        log_of("obtain_archive"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("obtain_archive.py"),
        source=config["archive"],
        sha256=config["archive_sha256"],
        cache="results/downloads",
        identity=identify_archive(config["archive"]),
    script:
        "../../scripts/obtain_archive.py"
