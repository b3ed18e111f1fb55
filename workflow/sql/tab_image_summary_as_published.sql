-- Question:   How many layers has an image and how large is a layer, in the paper's subset?
-- Grain:      the whole study: one row.
-- Definition: one image per repository; standard deviations divide by n.
-- Slide:      Table I
WITH images_of_subset AS (
    SELECT name, tag, count(*) AS layers, sum(size_bytes) AS size_bytes
    FROM subset
    GROUP BY name, tag
),
layer_sizes AS (
    SELECT avg(size_bytes) AS layer_mean_bytes, median(size_bytes) AS layer_median_bytes
    FROM subset
)
SELECT
    count(*) AS images,
    avg(layers) AS layers_mean,
    stddev_pop(layers) AS layers_standard_deviation,
    median(layers) AS layers_median,
    max(layers) AS layers_maximum,
    any_value(layer_mean_bytes) AS layer_mean_bytes,
    any_value(layer_median_bytes) AS layer_median_bytes
FROM images_of_subset, layer_sizes
