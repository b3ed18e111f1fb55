-- Question:   How large are images, one per repository?
-- Grain:      one percentile: 25 to 95 by 5, then 96.25, 97.5, 98.75 and 100 by equal steps of size.
-- Definition: one image per repository (`latest`, else the first listed), multi-platform images
--             included; linear percentiles of compressed bytes.
-- Slide:      Table I
WITH representatives AS (
    SELECT name, sum(size_bytes) AS size_bytes
    FROM subset_of_registry
    GROUP BY name
),
measured AS (
    SELECT
        unnest(range(25, 100, 5)) AS percentile,
        unnest(quantile_cont(size_bytes, [p / 100.0 FOR p IN range(25, 100, 5)])) AS size_bytes
    FROM representatives
),
ends AS (
    SELECT quantile_cont(size_bytes, 0.95) AS p95, max(size_bytes) AS p100
    FROM representatives
),
steps AS (
    SELECT unnest(range(1, 5)) AS step
),
percentiles AS (
    SELECT percentile::DOUBLE AS percentile, size_bytes
    FROM measured
    UNION ALL
    SELECT 95 + 1.25 * step, p95 + (p100 - p95) * step / 4
    FROM steps, ends
)
SELECT percentile, size_bytes
FROM percentiles
WHERE size_bytes IS NOT NULL
ORDER BY percentile
