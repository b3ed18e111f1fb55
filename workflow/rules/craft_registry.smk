# Crafted images in a real registry. Traffic and space there may be paid for: no change of code
# crafts them again, and what is there already is not sent twice.


rule craft_into_registry:
    """Mock images of exact size, pushed to the configured registry."""
    input:
        studies=config["craft"]["studies"],
        tables=CRAFT_TABLES,
    output:
        crafted_images=f"{CRAFT}/images.parquet",
    log:
        log_of("craft_into_registry"),
    benchmark:
        benchmark_of("craft_into_registry")
    localrule: True
    conda:
        "../../environment.yml"
    params:
        journal=f"{RESULTS}/raw/craft/journal.jsonl",
        options=config["craft"],
        seed=config["seed"],
    script:
        "../../scripts/craft_into_registry.py"
