# Pull runs measured by node processes of ours, without root or an engine.
#
# A measurement is paid for with time: no change of code makes it again. What was measured lies
# under its run identifier, where a stopped measurement goes on.


rule pulls_from_embedded:
    """Pulls of the pull study's images, measured with node processes of ours."""
    input:
        study=find_file(config["pulls"]["study"]),
        # A study may name them by these words.
        crafted_images=f"{CRAFT}/images.parquet",
    output:
        **stage_tables("pulls_embedded"),
    log:
        log_of("pulls_from_embedded"),
    benchmark:
        benchmark_of("pulls_from_embedded")
    conda:
        "../../environment.yml"
    # Whatever else runs would be measured too.
    threads: ALL_CORES
    params:
        backend="embedded",
        folder=f"{RESULTS}/raw/pulls/{config['pulls']['run']}/embedded",
        layout=f"{RESULTS}/raw/craft/registry",
    script:
        "../../scripts/measure_pulls.py"
