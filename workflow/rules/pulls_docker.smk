# Pull runs measured by Docker Engine, through its own API.
#
# A measurement is paid for with time: no change of code makes it again. What was measured lies
# under its run identifier, where a stopped measurement goes on.


rule pulls_from_docker:
    """Pulls of the pull study's images, measured with Docker Engine."""
    input:
        study=find_file(config["pulls"]["study"]),
        # A study may name them by these words.
        crafted_images=f"{CRAFT}/images.parquet",
    output:
        **stage_tables("pulls_docker"),
    log:
        log_of("pulls_from_docker"),
    benchmark:
        benchmark_of("pulls_from_docker")
    conda:
        "../../environment.yml"
    # Whatever else runs would be measured too.
    threads: ALL_CORES
    params:
        backend="docker",
        folder=f"{RESULTS}/raw/pulls/{config['pulls']['run']}/docker",
        layout=f"{RESULTS}/raw/craft/registry",
    script:
        "../../scripts/measure_pulls.py"
