# Pull runs measured on Kubernetes: which clusters, the pull study says.
#
# A measurement is paid for with time: no change of code makes it again. What was measured lies
# under its run identifier, where a stopped measurement goes on.


rule pulls_from_kubernetes:
    """Pulls of the pull study's images, measured on Kubernetes."""
    input:
        study=find(config["pulls"]["study"]),
        # A study may name them by these words.
        crafted_images=f"{CRAFT}/images.parquet",
    output:
        **stage_tables("pulls_kubernetes"),
    log:
        log_of("pulls_from_kubernetes"),
    benchmark:
        benchmark_of("pulls_from_kubernetes")
    conda:
        "../../environment.yml"
    # The nodes are elsewhere: what else runs here changes nothing.
    threads: 1
    params:
        backend="kubernetes",
        folder=f"{RESULTS}/raw/pulls/{config['pulls']['run']}/kubernetes",
        layout=f"{RESULTS}/raw/craft/registry",
    script:
        "../../scripts/measure_pulls.py"
