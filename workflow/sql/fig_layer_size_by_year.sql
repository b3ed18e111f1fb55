-- Question:   Do single layers grow over the years?
-- Grain:      one year of creation.
-- Definition: each digest counted once, in the year of the oldest image that holds it.
-- Slide:      23
WITH unique_layers AS (
    SELECT l.digest, min(i.trend_year) AS year, max(l.size_bytes) AS size_bytes
    FROM landscape_images AS i
    JOIN layers AS l USING (image_id)
    WHERE i.trend_year IS NOT NULL
    GROUP BY l.digest
)
SELECT
    year,
    count(*) AS layers,
    avg(size_bytes) AS mean,
    quantile_cont(size_bytes, 0.05) AS p5,
    quantile_cont(size_bytes, 0.25) AS p25,
    quantile_cont(size_bytes, 0.5) AS p50,
    quantile_cont(size_bytes, 0.75) AS p75,
    quantile_cont(size_bytes, 0.95) AS p95,
    max(size_bytes) AS maximum
FROM unique_layers
GROUP BY year
ORDER BY year
