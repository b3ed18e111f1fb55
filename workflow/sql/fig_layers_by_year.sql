-- Question:   How many layers does an image have, and does it grow over the years?
-- Grain:      one year of creation.
-- Definition: all images with known layers; over_125 counts those that Docker Engine refuses.
-- Slide:      20-21
SELECT
    trend_year AS year,
    count(*) AS images,
    avg(layer_count) AS mean,
    stddev_pop(layer_count) AS standard_deviation,
    quantile_cont(layer_count, 0.05) AS p5,
    quantile_cont(layer_count, 0.25) AS p25,
    quantile_cont(layer_count, 0.5) AS p50,
    quantile_cont(layer_count, 0.75) AS p75,
    quantile_cont(layer_count, 0.95) AS p95,
    max(layer_count) AS maximum,
    count(*) FILTER (layer_count > 125) AS over_125
FROM landscape_images
WHERE trend_year IS NOT NULL
GROUP BY trend_year
ORDER BY trend_year
