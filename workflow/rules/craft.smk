# Mock images for pulls: what the study files stand for; another file says where the images go.

CRAFT = f"{RESULTS}/craft"
config["craft"]["studies"] = [find_file(path) for path in config["craft"]["studies"]]
# Tables of this study that `from` in a study file may name.
CRAFT_TABLES = [
    query_result("fig_size_percentiles"),
    query_result("fig_size_percentiles_as_published"),
    stage_tables("registry")["layers"],
]

VIEWS |= {
    "planned_images": [f"{CRAFT}/plan.parquet"],
    "crafted_images": [f"{CRAFT}/images.parquet"],
}


rule plan_images:
    """Every image that the study files stand for, with its exact sizes, or why it is skipped."""
    input:
        studies=config["craft"]["studies"],
        tables=CRAFT_TABLES,
    output:
        planned_images=f"{CRAFT}/plan.parquet",
    log:
        log_of("plan_images"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("plan_images.py"),
        options=config["craft"],
        seed=config["seed"],
    script:
        "../../scripts/plan_images.py"
