-- Question:   How many layers has an image and how large is it?
-- Grain:      the whole study: one row.
-- Definition: all images with known layers, multi-platform ones included; layers counted once per
--             digest.
-- Slide:      Table I, 20
WITH layer_sizes AS (
    SELECT avg(size_bytes) AS layer_mean_bytes, median(size_bytes) AS layer_median_bytes
    FROM layer_repetition
)
SELECT
    count(*) AS images,
    avg(layer_count) AS layers_mean,
    stddev_pop(layer_count) AS layers_standard_deviation,
    median(layer_count) AS layers_median,
    max(layer_count) AS layers_maximum,
    any_value(layer_mean_bytes) AS layer_mean_bytes,
    any_value(layer_median_bytes) AS layer_median_bytes
FROM landscape_images, layer_sizes
