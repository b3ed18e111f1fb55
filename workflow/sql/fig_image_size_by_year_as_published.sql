-- Question:   What did the paper show as the size of images by year?
-- Grain:      one year of creation.
-- Definition: the layers of all tags of a repository in a year summed up, then spread over the
--             repositories: a repository with many tags looks like one huge image.
-- Slide:      22
WITH repository_years AS (
    SELECT name, trend_year, sum(size_bytes) AS size_bytes
    FROM landscape_images_as_published
    WHERE trend_year IS NOT NULL
    GROUP BY name, trend_year
)
SELECT
    trend_year AS year,
    count(*) AS repositories,
    avg(size_bytes) AS mean,
    quantile_cont(size_bytes, 0.05) AS p5,
    quantile_cont(size_bytes, 0.25) AS p25,
    quantile_cont(size_bytes, 0.5) AS p50,
    quantile_cont(size_bytes, 0.75) AS p75,
    quantile_cont(size_bytes, 0.95) AS p95,
    max(size_bytes) AS maximum
FROM repository_years
GROUP BY trend_year
ORDER BY trend_year
