# How similar containers are: by the text of their layers and by their layer digests.

from pullstudy.similarity.corpora import COMPARED, CORPORA

SIMILARITY = f"{RESULTS}/tables/similarity"
SETTINGS = config["similarity"]
EMBEDDING_SETTINGS = {
    key: SETTINGS[key]
    for key in ("dimensions", "window", "minimum_count", "epochs", "workers")
}
# Whose layer digests are compared: the table they stand in, and its column that owns them.
COLLECTIONS = {
    "repositories": ("subset", "name"),
    "images": ("layers", "image_id"),
}


scattergather:
    cosine=SETTINGS["shards"],


wildcard_constraints:
    corpus="|".join(CORPORA),
    collection="|".join(COLLECTIONS),


# Views over the files of several jobs. `documents` are those of the images, which the map shows.
VIEWS |= {
    "documents": [f"{SIMILARITY}/documents/images.parquet"],
    "document_map": [f"{SIMILARITY}/document_map.parquet"],
    "related_words": [f"{SIMILARITY}/related_words.parquet"],
    "cosine_histogram": expand(
        f"{SIMILARITY}/cosine_histogram/{{corpus}}.parquet", corpus=COMPARED
    ),
    "corpus_vectors": expand(
        f"{SIMILARITY}/corpus_vectors/{{corpus}}.parquet", corpus=COMPARED
    ),
    "jaccard_summary": expand(
        f"{SIMILARITY}/jaccard_summary/{{collection}}.parquet",
        collection=[*COLLECTIONS, "container_sets"],
    ),
    "jaccard_distribution": expand(
        f"{SIMILARITY}/jaccard_distribution/{{collection}}.parquet",
        collection=COLLECTIONS,
    ),
    "image_sets": [f"{SIMILARITY}/image_sets.parquet"],
    "image_neighbours": [f"{SIMILARITY}/image_neighbours.parquet"],
    "build_strategies": [f"{SIMILARITY}/build_strategies.parquet"],
    "pull_orders": [f"{SIMILARITY}/pull_orders.parquet"],
    "image_comparisons": [f"{SIMILARITY}/image_comparisons.parquet"],
}
# Tables between a corpus and its histogram, which no query reads.
EMBEDDINGS = [
    *expand(f"{SIMILARITY}/documents/{{corpus}}.parquet", corpus=CORPORA),
    *expand(f"{SIMILARITY}/document_vectors/{{corpus}}.parquet", corpus=COMPARED),
    *expand(
        f"{SIMILARITY}/word_vectors/{{corpus}}.parquet",
        corpus=sorted({corpus.embedded_by for corpus in CORPORA.values()}),
    ),
]


rule write_documents:
    """The documents of a text corpus: layers, images or Dockerfiles as tokens."""
    input:
        unpack(
            lambda wildcards: {
                table: view_files(table)[0]
                for table in CORPORA[wildcards.corpus].tables
            }
        ),
    output:
        documents=f"{SIMILARITY}/documents/{{corpus}}.parquet",
    log:
        log_of("write_documents/{corpus}"),
    benchmark:
        benchmark_of("write_documents/{corpus}")
    conda:
        "../../environment.yml"
    resources:
        # A digest per unique text is kept, and DuckDB sorts; compressed text grows some 90 times.
        mem_mb=memory_for(100),
        runtime=minutes_for(100),
    params:
        code=code_digest("write_documents.py"),
    script:
        "../../scripts/write_documents.py"


rule fit_embedding:
    """Word2Vec vectors of the words of a corpus; with one worker always the same."""
    input:
        documents=f"{SIMILARITY}/documents/{{corpus}}.parquet",
    output:
        words=f"{SIMILARITY}/word_vectors/{{corpus}}.parquet",
    log:
        log_of("fit_embedding/{corpus}"),
    benchmark:
        benchmark_of("fit_embedding/{corpus}")
    conda:
        "../../environment.yml"
    threads: SETTINGS["workers"]
    resources:
        # The text streams; words and their two vectors stay.
        mem_mb=memory_for(100),
        # Compressed text is dense: 4 MB hold 26 million tokens.
        runtime=minutes_for(15000),
    params:
        code=code_digest("fit_embedding.py"),
        settings=EMBEDDING_SETTINGS | {"seed": config["seed"]},
    script:
        "../../scripts/fit_embedding.py"


rule embed_documents:
    """A vector for each document of a corpus: the mean of the vectors of its words."""
    input:
        documents=f"{SIMILARITY}/documents/{{corpus}}.parquet",
        words=lambda wildcards: f"{SIMILARITY}/word_vectors/{CORPORA[wildcards.corpus].embedded_by}.parquet",
    output:
        vectors=f"{SIMILARITY}/document_vectors/{{corpus}}.parquet",
        summary=f"{SIMILARITY}/corpus_vectors/{{corpus}}.parquet",
    log:
        log_of("embed_documents/{corpus}"),
    benchmark:
        benchmark_of("embed_documents/{corpus}")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_for(100),
        runtime=minutes_for(2000),
    params:
        code=code_digest("embed_documents.py"),
    script:
        "../../scripts/embed_documents.py"


rule count_cosine_shard:
    """Pairs of documents by cosine similarity, over one share of all pairs."""
    input:
        vectors=f"{SIMILARITY}/document_vectors/{{corpus}}.parquet",
    output:
        counts=temp(f"{SIMILARITY}/cosine_shards/{{corpus}}/{{scatteritem}}.parquet"),
    log:
        log_of("count_cosine_shard/{corpus}/{scatteritem}"),
    benchmark:
        benchmark_of("count_cosine_shard/{corpus}/{scatteritem}")
    conda:
        "../../environment.yml"
    threads: SETTINGS["threads"]
    resources:
        # Vectors as read, sorted for equal ones, and as unit vectors; many copies compress well.
        mem_mb=memory_for(16),
        # Pairs grow with the square of the input: a gigabyte of vectors has 3.5e11.
        runtime=minutes_for(200, power=2),
    params:
        code=code_digest("count_cosine_shard.py"),
        centred=lambda wildcards: CORPORA[wildcards.corpus].is_centred,
        shard=lambda wildcards: number_shard(wildcards.scatteritem),
    script:
        "../../scripts/count_cosine_shard.py"


rule gather_cosine_histogram:
    """The cosine histogram of a corpus: the sum over its shards."""
    input:
        shards=gather.cosine(
            f"{SIMILARITY}/cosine_shards/{{{{corpus}}}}/{{scatteritem}}.parquet"
        ),
        vectors=f"{SIMILARITY}/document_vectors/{{corpus}}.parquet",
    output:
        histogram=f"{SIMILARITY}/cosine_histogram/{{corpus}}.parquet",
    log:
        log_of("gather_cosine_histogram/{corpus}"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("gather_cosine_histogram.py"),
    script:
        "../../scripts/gather_cosine_histogram.py"


rule find_related_words:
    """The words that stand in the same company as those asked for, in unique layers."""
    input:
        words=f"{SIMILARITY}/word_vectors/unique_layers.parquet",
    output:
        related=f"{SIMILARITY}/related_words.parquet",
    log:
        log_of("find_related_words"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("find_related_words.py"),
        words=SETTINGS["words"],
        nearest=SETTINGS["related"],
    script:
        "../../scripts/find_related_words.py"


rule map_documents:
    """Images as points in two dimensions, near each other where their text is alike."""
    input:
        vectors=f"{SIMILARITY}/document_vectors/images.parquet",
    output:
        points=f"{SIMILARITY}/document_map.parquet",
    log:
        log_of("map_documents"),
    benchmark:
        benchmark_of("map_documents")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_for(12),
        runtime=minutes_for(300),
    params:
        code=code_digest("map_documents.py"),
        settings={
            "method": SETTINGS["map"],
            "most": SETTINGS["map_points"],
            "seed": config["seed"],
        },
    script:
        "../../scripts/map_documents.py"


rule compare_digests:
    """Jaccard similarities of the layer digests of all repositories, or of all images."""
    input:
        layers=lambda wildcards: view_files(COLLECTIONS[wildcards.collection][0])[0],
    output:
        summary=f"{SIMILARITY}/jaccard_summary/{{collection}}.parquet",
        distribution=f"{SIMILARITY}/jaccard_distribution/{{collection}}.parquet",
    log:
        log_of("compare_digests/{collection}"),
    benchmark:
        benchmark_of("compare_digests/{collection}")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_for(80),
        runtime=minutes_for(1000),
    params:
        code=code_digest("compare_digests.py"),
        owner=lambda wildcards: COLLECTIONS[wildcards.collection][1],
    script:
        "../../scripts/compare_digests.py"


rule find_neighbours:
    """The images that share most with an image by layer digests, identical ones left out."""
    input:
        layers=view_files("layers")[0],
    output:
        sets=f"{SIMILARITY}/image_sets.parquet",
        neighbours=f"{SIMILARITY}/image_neighbours.parquet",
    log:
        log_of("find_neighbours"),
    benchmark:
        benchmark_of("find_neighbours")
    conda:
        "../../environment.yml"
    resources:
        mem_mb=memory_for(80),
        runtime=minutes_for(1000),
    params:
        code=code_digest("find_neighbours.py"),
        nearest=SETTINGS["neighbours"],
    script:
        "../../scripts/find_neighbours.py"


rule compare_strategies:
    """What the images of each container set share, and what a node pulls to run them all."""
    input:
        container_sets=view_files("container_sets")[0],
    output:
        build_strategies=f"{SIMILARITY}/build_strategies.parquet",
        pull_orders=f"{SIMILARITY}/pull_orders.parquet",
        jaccard_summary=f"{SIMILARITY}/jaccard_summary/container_sets.parquet",
    log:
        log_of("compare_strategies"),
    benchmark:
        benchmark_of("compare_strategies")
    conda:
        "../../environment.yml"
    params:
        code=code_digest("compare_strategies.py"),
    script:
        "../../scripts/compare_strategies.py"


rule compare_images:
    """How far the images of each container set are the same, level by level."""
    input:
        container_sets=view_files("container_sets")[0],
        container_images=view_files("container_images")[0],
    output:
        image_comparisons=f"{SIMILARITY}/image_comparisons.parquet",
    log:
        log_of("compare_images"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("compare_images.py"),
    script:
        "../../scripts/compare_images.py"
