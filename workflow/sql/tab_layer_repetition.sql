-- Question:   How many layers are shared, and how widely?
-- Grain:      one threshold.
-- Definition: images that hold the layer, each counted once.
-- Slide:      25
SELECT threshold, layers
FROM (
    SELECT
        count(*) AS all_layers,
        count(*) FILTER (images = 1) AS in_one,
        count(*) FILTER (images > 1) AS in_more_than_1,
        count(*) FILTER (images > 2) AS in_more_than_2,
        count(*) FILTER (images > 50) AS in_more_than_50,
        count(*) FILTER (images > 100) AS in_more_than_100,
        max(images) AS most_frequent
    FROM layer_repetition
)
UNPIVOT (layers FOR threshold IN (
    all_layers, in_one, in_more_than_1, in_more_than_2, in_more_than_50, in_more_than_100,
    most_frequent
))
