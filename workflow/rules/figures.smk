# One rule per figure: rule, adapter, caption and output share the stem, the first query too.


rule fig_tags_by_repository:
    """Tags per base image: listed, and as the paper counted them (slide 14)."""
    input:
        tags=query_result("fig_tags_by_repository"),
        as_published=query_result("fig_tags_by_repository_as_published"),
    output:
        **figure_files("fig_tags_by_repository", "Landscape"),
    log:
        log_of("fig_tags_by_repository"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_tags_by_repository.py"),
    script:
        "../../scripts/fig_tags_by_repository.py"


rule fig_layers_by_year:
    """Layers per image by year of creation, with its outliers (slides 20-21)."""
    input:
        layers=query_result("fig_layers_by_year"),
    output:
        **figure_files("fig_layers_by_year", "Landscape"),
    log:
        log_of("fig_layers_by_year"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_layers_by_year.py"),
    script:
        "../../scripts/fig_layers_by_year.py"


rule fig_image_size_by_year:
    """Image size by year: of one image, and as the paper added them up (slide 22)."""
    input:
        image_sizes=query_result("fig_image_size_by_year"),
        as_published=query_result("fig_image_size_by_year_as_published"),
    output:
        **figure_files("fig_image_size_by_year", "Landscape"),
    log:
        log_of("fig_image_size_by_year"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_image_size_by_year.py"),
    script:
        "../../scripts/fig_image_size_by_year.py"


rule fig_layer_size_by_year:
    """Layer size by year, each layer counted once, and as published (slide 23)."""
    input:
        layer_sizes=query_result("fig_layer_size_by_year"),
        as_published=query_result("fig_layer_size_by_year_as_published"),
    output:
        **figure_files("fig_layer_size_by_year", "Landscape"),
    log:
        log_of("fig_layer_size_by_year"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_layer_size_by_year.py"),
    script:
        "../../scripts/fig_layer_size_by_year.py"


rule fig_layer_repetition:
    """How many layers, and bytes, are in at least so many images (slide 25)."""
    input:
        repetition=query_result("fig_layer_repetition"),
    output:
        **figure_files("fig_layer_repetition", "Landscape"),
    log:
        log_of("fig_layer_repetition"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_layer_repetition.py"),
    script:
        "../../scripts/fig_layer_repetition.py"


rule fig_size_percentiles:
    """Image size by percentile, the sizes that images are crafted to (Table I)."""
    input:
        percentiles=query_result("fig_size_percentiles"),
        as_published=query_result("fig_size_percentiles_as_published"),
    output:
        **figure_files("fig_size_percentiles", "Landscape"),
    log:
        log_of("fig_size_percentiles"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_size_percentiles.py"),
    script:
        "../../scripts/fig_size_percentiles.py"


rule fig_base_images:
    """The base images that Dockerfiles name most (slide 10)."""
    input:
        base_images=query_result("fig_base_images"),
    output:
        **figure_files("fig_base_images", "Landscape"),
    log:
        log_of("fig_base_images"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_base_images.py"),
    script:
        "../../scripts/fig_base_images.py"


rule fig_base_families:
    """Distributions that base images are built on, with scores (Table III)."""
    input:
        families=query_result("fig_base_families"),
    output:
        **figure_files("fig_base_families", "Base images"),
    log:
        log_of("fig_base_families"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_base_families.py"),
    script:
        "../../scripts/fig_base_families.py"


rule fig_practices:
    """Best practices kept and broken, by collection (slide 11)."""
    input:
        practices=query_result("tab_practices"),
    output:
        **figure_files("fig_practices", "Best practices"),
    log:
        log_of("fig_practices"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_practices.py"),
    script:
        "../../scripts/fig_practices.py"


rule fig_apt_history:
    """apt-get in the history of images: as published and right (slide 12)."""
    input:
        right=query_result("tab_apt_history"),
        as_published=query_result("tab_apt_history_as_published"),
    output:
        **figure_files("fig_apt_history", "Best practices"),
    log:
        log_of("fig_apt_history"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_apt_history.py"),
    script:
        "../../scripts/fig_apt_history.py"


rule fig_cosine_histogram:
    """Cosine similarity of all pairs of unique layers, images and Dockerfiles."""
    input:
        histogram=query_result("fig_cosine_histogram"),
    output:
        **figure_files("fig_cosine_histogram", "Similarity"),
    log:
        log_of("fig_cosine_histogram"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_cosine_histogram.py"),
    script:
        "../../scripts/fig_cosine_histogram.py"


rule fig_related_words:
    """Words that keep the same company in layers."""
    input:
        related=query_result("fig_related_words"),
    output:
        **figure_files("fig_related_words", "Similarity"),
    log:
        log_of("fig_related_words"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_related_words.py"),
    script:
        "../../scripts/fig_related_words.py"


rule fig_image_map:
    """Images placed by the text of their layers, by base image."""
    input:
        points=query_result("fig_image_map"),
    output:
        **figure_files("fig_image_map", "Similarity"),
    log:
        log_of("fig_image_map"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_image_map.py"),
    script:
        "../../scripts/fig_image_map.py"


rule fig_repository_jaccard:
    """Layer digests shared between repositories, clustered."""
    input:
        pairs=query_result("fig_repository_jaccard"),
    output:
        **figure_files("fig_repository_jaccard", "Similarity"),
    log:
        log_of("fig_repository_jaccard"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_repository_jaccard.py"),
    script:
        "../../scripts/fig_repository_jaccard.py"


rule fig_build_strategies:
    """What container sets share by the way they are built."""
    input:
        strategies=query_result("fig_build_strategies"),
    output:
        **figure_files("fig_build_strategies", "Build strategies"),
    log:
        log_of("fig_build_strategies"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_build_strategies.py"),
    script:
        "../../scripts/fig_build_strategies.py"


rule fig_pull_orders:
    """Bytes a node pulls to run a container set, in the best and worst order."""
    input:
        orders=query_result("fig_pull_orders"),
    output:
        **figure_files("fig_pull_orders", "Build strategies"),
    log:
        log_of("fig_pull_orders"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("fig_pull_orders.py"),
    script:
        "../../scripts/fig_pull_orders.py"


# Every scripts/fig_*.py has its rule above; a test holds the two together.
FIGURES = [
    f"{RESULTS}/figures/{script.stem}.{kind}"
    for script in sorted(Path(house("scripts")).glob("fig_*.py"))
    for kind in ("pdf", "png")
]
