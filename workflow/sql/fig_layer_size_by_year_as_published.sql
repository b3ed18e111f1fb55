-- Question:   What did the paper show as the size of layers by year?
-- Grain:      one year of creation.
-- Definition: every layer row counts, so a layer counts once for each image that shares it.
-- Slide:      23
SELECT
    i.trend_year AS year,
    count(*) AS layers,
    avg(l.size_bytes) AS mean,
    quantile_cont(l.size_bytes, 0.05) AS p5,
    quantile_cont(l.size_bytes, 0.25) AS p25,
    quantile_cont(l.size_bytes, 0.5) AS p50,
    quantile_cont(l.size_bytes, 0.75) AS p75,
    quantile_cont(l.size_bytes, 0.95) AS p95,
    max(l.size_bytes) AS maximum
FROM landscape_images_as_published AS i
JOIN layers AS l USING (image_id)
WHERE i.trend_year IS NOT NULL
GROUP BY i.trend_year
ORDER BY i.trend_year
