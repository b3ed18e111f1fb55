# What pulls say: comparisons between runs, and a model that goes beyond what was run.


rule compare_pulls:
    """Runs, layer counts and cluster sizes compared, with intervals; how far nodes are apart."""
    input:
        pulls=query_result("measured_pulls"),
    output:
        **stage_tables("comparisons"),
    log:
        log_of("compare_pulls"),
    benchmark:
        benchmark_of("compare_pulls")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("compare_pulls.py"),
        resamples=config["pulls"]["resamples"],
        seed=config["seed"],
    script:
        "../../scripts/compare_pulls.py"


rule model_pulls:
    """A model calibrated on the pulls, its errors where it was not, and larger clusters."""
    input:
        pulls=query_result("cluster_pulls"),
        images=view_files("pull_images"),
    output:
        **stage_tables("model"),
        # Simulated pulls have the form of measured ones, but no query mixes them.
        **stage_tables("model", "pulls", "nodes", "jobs"),
    log:
        log_of("model_pulls"),
    benchmark:
        benchmark_of("model_pulls")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("model_pulls.py"),
        cluster_sizes=config["pulls"]["cluster_sizes"],
        seed=config["seed"],
    script:
        "../../scripts/model_pulls.py"
