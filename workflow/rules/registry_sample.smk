# Manifests and configs of the sample's made-up ecosystem, harvested from a registry of its own.


include: "subset.smk"


rule registry_from_sample:
    """Made-up repositories, drawn with a seed, harvested over HTTP from an embedded registry."""
    input:
        ecosystem=house("resources/sample/ecosystem.yaml"),
    output:
        **stage_tables(
            "registry", "tags", "images", "layers", "history", "failures", "coverage"
        ),
    log:
        log_of("registry_from_sample"),
    benchmark:
        benchmark_of("registry_from_sample")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("registry_from_sample.py"),
        size=config["registry"]["sample_size"],
        seed=config["seed"],
    script:
        "../../scripts/registry_from_sample.py"
