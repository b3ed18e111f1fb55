-- Question:   How are the Jaccard similarities of layer digests distributed?
-- Grain:      one range of similarity, per collection: 0, and tenths up to 1.
-- Definition: pairs of different repositories (one image each), or of all images; a range holds its
--             upper edge, so that identical sets stand in the last.
WITH pairs_of AS (
    SELECT
        collection,
        coalesce(ceil(10.0 * shared_digests / united_digests), 0)::INTEGER AS tenth,
        pairs
    FROM jaccard_distribution
)
SELECT
    collection,
    greatest(tenth - 1, 0) / 10 AS jaccard_above,
    tenth / 10 AS jaccard_up_to,
    sum(pairs)::BIGINT AS pairs,
    sum(pairs) / sum(sum(pairs)) OVER (PARTITION BY collection) AS share
FROM pairs_of
GROUP BY collection, tenth
ORDER BY collection, tenth
