# Dockerfiles of the sample's made-up ecosystem.


rule corpus_from_sample:
    """Made-up Dockerfiles with habits good and bad, drawn with a seed."""
    input:
        ecosystem=house("resources/sample/ecosystem.yaml"),
    output:
        **stage_tables("corpus"),
    log:
        log_of("corpus_from_sample"),
    benchmark:
        benchmark_of("corpus_from_sample")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("corpus_from_sample.py"),
        size=config["corpus"]["sample_size"],
        seed=config["seed"],
    script:
        "../../scripts/corpus_from_sample.py"
