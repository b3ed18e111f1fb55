-- Question:   Do images grow over the years?
-- Grain:      one year of creation.
-- Definition: compressed bytes of one image, over all images with known layers.
-- Slide:      22
SELECT
    trend_year AS year,
    count(*) AS images,
    avg(size_bytes) AS mean,
    quantile_cont(size_bytes, 0.05) AS p5,
    quantile_cont(size_bytes, 0.25) AS p25,
    quantile_cont(size_bytes, 0.5) AS p50,
    quantile_cont(size_bytes, 0.75) AS p75,
    quantile_cont(size_bytes, 0.95) AS p95,
    max(size_bytes) AS maximum
FROM landscape_images
WHERE trend_year IS NOT NULL
GROUP BY trend_year
ORDER BY trend_year
