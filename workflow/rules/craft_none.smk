# Images are planned only.


rule crafted_from_none:
    """No crafted images, for studies that make none."""
    output:
        crafted_images=f"{CRAFT}/images.parquet",
    log:
        log_of("crafted_from_none"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("write_empty_tables.py"),
    script:
        "../../scripts/write_empty_tables.py"
