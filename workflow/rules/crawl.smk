# Listed repositories to Dockerfiles, for every source that lists repositories.
#
# The crawl is paid for with time and with the patience of servers: no change of code runs it again,
# and its parts are no output that Snakemake would delete before a rerun. Delete RAW_CORPUS to crawl
# anew.

RAW_CORPUS = f"{RESULTS}/raw/corpus"
LISTING = f"{RAW_CORPUS}/repositories.json"
CRAWL_KEYS = [
    "max_repositories",
    "max_repository_mb",
    "max_dockerfile_kb",
    "parallel",
    "timeout_seconds",
]
CRAWL_SETTINGS = {key: config["corpus"][key] for key in CRAWL_KEYS} | {
    "seed": config["seed"]
}


rule crawl_repositories:
    """The Dockerfiles of each listed repository, one part on disk per repository."""
    input:
        listing=LISTING,
    output:
        record=f"{RAW_CORPUS}/crawl.json",
    log:
        log_of("crawl_repositories"),
    benchmark:
        benchmark_of("crawl_repositories")
    localrule: True
    conda:
        "../../environment.yml"
    params:
        parts=f"{RAW_CORPUS}/parts",
        settings=CRAWL_SETTINGS,
    script:
        "../../scripts/crawl_repositories.py"


rule corpus_from_crawl:
    """Every Dockerfile of the crawl, its instructions and build stages."""
    input:
        record=rules.crawl_repositories.output.record,
    output:
        **stage_tables("corpus"),
    log:
        log_of("corpus_from_crawl"),
    benchmark:
        benchmark_of("corpus_from_crawl")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("corpus_from_crawl.py"),
        parts=rules.crawl_repositories.params.parts,
    script:
        "../../scripts/corpus_from_crawl.py"
