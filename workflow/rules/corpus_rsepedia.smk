# Dockerfiles of the repositories that the Research Software Encyclopedia names.


include: "crawl.smk"


rule list_rsepedia:
    """The repositories of the Research Software Encyclopedia's database."""
    output:
        listing=LISTING,
    log:
        log_of("list_rsepedia"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        database=config["corpus"]["rsepedia"],
    script:
        "../../scripts/list_rsepedia.py"
