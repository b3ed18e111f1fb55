# Pull runs of made-up clusters: event logs first, read as published ones are.


rule events_from_sample:
    """Event logs, node lists and manifests of made-up clusters, drawn with a seed."""
    input:
        plan=house("resources/sample/pulls.yaml"),
    output:
        **stage_tables("pulls_sample", "coverage"),
        events=directory(f"{RESULTS}/raw/events"),
    log:
        log_of("events_from_sample"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("events_from_sample.py"),
        seed=config["seed"],
    script:
        "../../scripts/events_from_sample.py"


rule pulls_from_events:
    """Every pull, node and job that event logs tell of."""
    input:
        events=f"{RESULTS}/raw/events",
    output:
        **stage_tables("pulls_sample", *PULL_TABLES),
    log:
        log_of("pulls_from_events"),
    benchmark:
        benchmark_of("pulls_from_events")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("pulls_from_events.py"),
    script:
        "../../scripts/pulls_from_events.py"
