-- Question:   How near is the most similar other image of an image, by layer digests?
-- Grain:      the whole study: one row.
-- Definition: images with identical layers count as one set; a set that shares no layer with another
--             has no neighbour.
WITH nearest AS (
    SELECT s.image_id, s.copies, coalesce(n.jaccard, 0) AS jaccard
    FROM image_sets AS s
    LEFT JOIN image_neighbours AS n ON n.image_id = s.image_id AND n.rank = 1
)
SELECT
    sum(copies)::BIGINT AS images,
    count(*) AS distinct_sets,
    count(*) FILTER (jaccard > 0) AS sets_with_neighbour,
    avg(jaccard) AS nearest_jaccard_mean,
    median(jaccard) AS nearest_jaccard_median,
    count(*) FILTER (jaccard >= 0.5) AS sets_with_half_shared
FROM nearest
