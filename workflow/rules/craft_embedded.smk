# Crafted images in a registry of the study's own: an OCI image layout below the results.


rule craft_into_layout:
    """Mock images of exact size, pushed to an embedded registry."""
    input:
        studies=config["craft"]["studies"],
        tables=CRAFT_TABLES,
    output:
        crafted_images=f"{CRAFT}/images.parquet",
        # Stands for the layout: Snakemake deletes what it knows before a job starts again, and
        # the images that are there already must stay.
        layout=f"{RESULTS}/raw/craft/registry/oci-layout",
    log:
        log_of("craft_into_layout"),
    benchmark:
        benchmark_of("craft_into_layout")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("craft_into_layout.py"),
        options=config["craft"],
        seed=config["seed"],
    script:
        "../../scripts/craft_into_layout.py"
