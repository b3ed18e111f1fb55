# A made-up classification of the sample's images.


rule bases_from_sample:
    """Base image and score of each repository of the sample."""
    input:
        ecosystem=house("resources/sample/ecosystem.yaml"),
        images=stage_tables("registry")["images"],
    output:
        **stage_tables("bases"),
    log:
        log_of("bases_from_sample"),
    benchmark:
        benchmark_of("bases_from_sample")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("bases_from_sample.py"),
        seed=config["seed"],
    script:
        "../../scripts/bases_from_sample.py"
