-- Question:   How many pairs of documents have which cosine similarity?
-- Grain:      one bin of 0.1, per corpus and definition.
-- Definition: right: a layer's own text once, an image's lines, a Dockerfile's instructions; vectors
--             centred; all pairs of different documents from -1 to 1. as_published: documents by the
--             paper's program (layers cumulative, Dockerfiles with comments), half of the full matrix
--             with its diagonal from -0.5, bins that hold both edges. archive: the paper's own
--             histogram, from vectors that are not archived.
WITH counted AS (
    SELECT corpus, definition, bin_low, bin_high, pairs
    FROM cosine_histogram
    WHERE definition = 'right' AND NOT ends_with(corpus, '_as_published')
    UNION ALL
    SELECT replace(corpus, '_as_published', ''), definition, bin_low, bin_high, pairs
    FROM cosine_histogram
    WHERE definition = 'as_published' AND ends_with(corpus, '_as_published')
    UNION ALL
    SELECT corpus, 'archive', bin_low, bin_high, pairs
    FROM published_cosine
)
SELECT
    corpus,
    definition,
    bin_low,
    bin_high,
    pairs,
    pairs / sum(pairs) OVER (PARTITION BY corpus, definition) AS share
FROM counted
ORDER BY corpus, definition, bin_low
