# Dockerfiles of the git repositories that the config names.


include: "crawl.smk"


rule list_git:
    """The git repositories of the config, checked and made distinct."""
    output:
        listing=LISTING,
    log:
        log_of("list_git"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        urls=config["corpus"]["repositories"],
    script:
        "../../scripts/list_git.py"
