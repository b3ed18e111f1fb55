# Manifests and configs from the registries themselves, for every base image of the corpus.
#
# A harvest is paid for with requests: no change of code runs it again. Its state lies under its run
# identifier, where a stopped harvest goes on; contents are kept by digest for all studies.

HARVEST = f"{RESULTS}/raw/harvest/{config['registry']['run']}"
HARVESTED = ["tags", "images", "layers", "history", "failures", "coverage"]


include: "subset.smk"


rule harvest_registries:
    """Tags, manifests and configs of the base images, asked of their registries."""
    input:
        names=query_result("base_image_names"),
    output:
        tables=[f"{HARVEST}/{name}.parquet" for name in HARVESTED],
    log:
        log_of("harvest_registries"),
    benchmark:
        benchmark_of("harvest_registries")
    localrule: True
    conda:
        "../../environment.yml"
    params:
        folder=HARVEST,
        cache="results/cache/registry",
        options=config["registry"],
    script:
        "../../scripts/harvest_registries.py"


rule registry_from_harvest:
    """The harvested tables of this run, where the study looks for them."""
    input:
        tables=rules.harvest_registries.output.tables,
    output:
        tables=list(stage_tables("registry", *HARVESTED).values()),
    log:
        log_of("registry_from_harvest"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("registry_from_harvest.py"),
    script:
        "../../scripts/registry_from_harvest.py"
