-- Question:   How many layers are shared, and how widely?
-- Grain:      one threshold.
-- Definition: layer rows: a layer that one image holds twice counts as repeated.
-- Slide:      25
SELECT threshold, layers
FROM (
    SELECT
        count(*) AS all_layers,
        count(*) FILTER (appearances = 1) AS in_one,
        count(*) FILTER (appearances > 1) AS in_more_than_1,
        count(*) FILTER (appearances > 2) AS in_more_than_2,
        count(*) FILTER (appearances > 50) AS in_more_than_50,
        count(*) FILTER (appearances > 100) AS in_more_than_100,
        max(appearances) AS most_frequent
    FROM layer_repetition_as_published
)
UNPIVOT (layers FOR threshold IN (
    all_layers, in_one, in_more_than_1, in_more_than_2, in_more_than_50, in_more_than_100,
    most_frequent
))
