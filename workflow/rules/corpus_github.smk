# Dockerfiles of all repositories of organisations and users on GitHub.


include: "crawl.smk"


rule list_github:
    """All public repositories of the configured organisations, by GitHub's REST API."""
    output:
        listing=LISTING,
    log:
        log_of("list_github"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        owners=config["corpus"]["organisations"],
        api_url=config["corpus"]["github_api"],
        forks=config["corpus"]["forks"],
        cache=f"{RAW_CORPUS}/github",
    script:
        "../../scripts/list_github.py"
