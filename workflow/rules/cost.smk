# What pulling costs a cluster.


rule cost_pulls:
    """Times and dollars of the slides' examples, and of the container sets, by cluster size."""
    input:
        slides=house("resources/cost.yaml"),
        schema=house("workflow/schemas/cost.schema.json"),
        strategies=view_files("build_strategies")[0],
        pull_speed=query_result("pull_speed"),
    output:
        **stage_tables("cost"),
    log:
        log_of("cost_pulls"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("cost_pulls.py"),
        settings=config["cost"],
    script:
        "../../scripts/cost_pulls.py"
