# Figures of pull runs; rule, adapter, caption and output share the stem, the first query too.


rule fig_pull_time_by_size:
    """Pull time by image size, for each cluster size, layer count and strategy."""
    input:
        sizes=query_result("fig_pull_time_by_size"),
    output:
        **figure_files("fig_pull_time_by_size", "Pulling"),
    log:
        log_of("fig_pull_time_by_size"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_time_by_size.py"),
    script:
        "../../scripts/fig_pull_time_by_size.py"


rule fig_pull_time_by_registry:
    """Pull time from a registry in the same cloud and from one outside."""
    input:
        registries=query_result("fig_pull_time_by_registry"),
    output:
        **figure_files("fig_pull_time_by_registry", "Pulling"),
    log:
        log_of("fig_pull_time_by_registry"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_time_by_registry.py"),
    script:
        "../../scripts/fig_pull_time_by_registry.py"


rule fig_pull_time_by_disk:
    """Speed-up and steadiness of pulls onto a local SSD."""
    input:
        disks=query_result("fig_pull_time_by_disk"),
    output:
        **figure_files("fig_pull_time_by_disk", "Pulling"),
    log:
        log_of("fig_pull_time_by_disk"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_time_by_disk.py"),
    script:
        "../../scripts/fig_pull_time_by_disk.py"


rule fig_pull_time_by_layers:
    """Pull time by the number of layers at one size."""
    input:
        layers=query_result("fig_pull_time_by_layers"),
    output:
        **figure_files("fig_pull_time_by_layers", "Pulling"),
    log:
        log_of("fig_pull_time_by_layers"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_time_by_layers.py"),
    script:
        "../../scripts/fig_pull_time_by_layers.py"


rule fig_pull_time_by_machine:
    """Speed-up by a larger machine, and as published."""
    input:
        machines=query_result("fig_pull_time_by_machine"),
        as_published=query_result("fig_pull_time_by_machine_as_published"),
    output:
        **figure_files("fig_pull_time_by_machine", "Pulling"),
    log:
        log_of("fig_pull_time_by_machine"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_time_by_machine.py"),
    script:
        "../../scripts/fig_pull_time_by_machine.py"


rule fig_time_to_run_by_strategy:
    """Streaming against pulling: the kubelet's event and the whole job."""
    input:
        times=query_result("fig_time_to_run_by_strategy"),
    output:
        **figure_files("fig_time_to_run_by_strategy", "Pulling"),
    log:
        log_of("fig_time_to_run_by_strategy"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_time_to_run_by_strategy.py"),
    script:
        "../../scripts/fig_time_to_run_by_strategy.py"


rule fig_wire_bytes_by_size:
    """Bytes on the wire by nominal image size."""
    input:
        wire=query_result("fig_wire_bytes_by_size"),
        planned=query_result("tab_crafting_plan"),
    output:
        **figure_files("fig_wire_bytes_by_size", "Pulling"),
    log:
        log_of("fig_wire_bytes_by_size"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_wire_bytes_by_size.py"),
    script:
        "../../scripts/fig_wire_bytes_by_size.py"


rule fig_node_coordination:
    """What each node does while a cluster pulls one image."""
    input:
        nodes=query_result("fig_node_coordination"),
    output:
        **figure_files("fig_node_coordination", "Pulling"),
    log:
        log_of("fig_node_coordination"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_node_coordination.py"),
    script:
        "../../scripts/fig_node_coordination.py"


rule fig_spread_by_nodes:
    """How far nodes are apart, against chance."""
    input:
        spreads=query_result("fig_spread_by_nodes"),
    output:
        **figure_files("fig_spread_by_nodes", "Pulling"),
    log:
        log_of("fig_spread_by_nodes"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_spread_by_nodes.py"),
    script:
        "../../scripts/fig_spread_by_nodes.py"


rule fig_experiment_time_by_nodes:
    """Time of the whole experiment by cluster size."""
    input:
        experiments=query_result("fig_experiment_time_by_nodes"),
    output:
        **figure_files("fig_experiment_time_by_nodes", "Pulling"),
    log:
        log_of("fig_experiment_time_by_nodes"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_experiment_time_by_nodes.py"),
    script:
        "../../scripts/fig_experiment_time_by_nodes.py"


rule fig_extrapolated_pull_time:
    """Pull times that the model gives for larger clusters."""
    input:
        extrapolations=query_result("fig_extrapolated_pull_time"),
    output:
        **figure_files("fig_extrapolated_pull_time", "Pulling"),
    log:
        log_of("fig_extrapolated_pull_time"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_extrapolated_pull_time.py"),
    script:
        "../../scripts/fig_extrapolated_pull_time.py"
