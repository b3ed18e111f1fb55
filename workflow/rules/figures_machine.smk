# Figures of pulls on one machine; rule, adapter, caption and output share the stem, the first query too.


rule fig_pull_phases_by_run:
    """What a pull spends its time on, run by run."""
    input:
        phases=query_result("fig_pull_phases_by_run"),
    output:
        **figure_files("fig_pull_phases_by_run", "One machine"),
    log:
        log_of("fig_pull_phases_by_run"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_phases_by_run.py"),
    script:
        "../../scripts/fig_pull_phases_by_run.py"


rule fig_pull_phases_by_nodes:
    """What takes longer when several nodes of one machine pull."""
    input:
        phases=query_result("fig_pull_phases_by_nodes"),
    output:
        **figure_files("fig_pull_phases_by_nodes", "One machine"),
    log:
        log_of("fig_pull_phases_by_nodes"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_phases_by_nodes.py"),
    script:
        "../../scripts/fig_pull_phases_by_nodes.py"


rule fig_pull_time_by_change:
    """What one change does to a pull, all else being equal."""
    input:
        changes=query_result("fig_pull_time_by_change"),
    output:
        **figure_files("fig_pull_time_by_change", "One machine"),
    log:
        log_of("fig_pull_time_by_change"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_time_by_change.py"),
    script:
        "../../scripts/fig_pull_time_by_change.py"
