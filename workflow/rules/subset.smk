# The subset behind Table I, where no published one is at hand.


rule subset_of_registry:
    """The one image that stands for its repository: `latest`, else the first."""
    input:
        tables=list(stage_tables("registry", "images", "layers").values()),
        sql=f"{SQL}/subset_of_registry.sql",
    output:
        rows=stage_tables("registry")["subset"],
    log:
        log_of("subset_of_registry"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("run_query.py"),
        views=views_of("subset_of_registry"),
    script:
        "../../scripts/run_query.py"
