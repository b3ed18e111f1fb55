# The figure of cost; rule, adapter, caption and output share the stem, the first query too.


rule fig_cost_by_nodes:
    """What pulling costs by cluster size and by the way that images are built."""
    input:
        costs=query_result("fig_cost_by_nodes"),
    output:
        **figure_files("fig_cost_by_nodes", "Cost"),
    log:
        log_of("fig_cost_by_nodes"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_cost_by_nodes.py"),
    script:
        "../../scripts/fig_cost_by_nodes.py"
