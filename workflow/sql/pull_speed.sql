-- Question:   How fast does a node pull a real image?
-- Grain:      one row over all runs; none when no application image was pulled.
-- Definition: as in tab_wire_speed; slow and fast are the 5th and the 95th percentile of the pulls.
WITH speeds AS (
    SELECT compressed_bytes / seconds / 1e6 AS megabytes_per_second
    FROM measured_pulls
    WHERE
        kind = 'application'
        AND strategy = 'plain'
        AND compressed_bytes IS NOT NULL
        AND seconds > 0
)
SELECT
    count(*) AS pulls,
    quantile_cont(megabytes_per_second, 0.05) AS slow_megabytes_per_second,
    median(megabytes_per_second) AS typical_megabytes_per_second,
    quantile_cont(megabytes_per_second, 0.95) AS fast_megabytes_per_second
FROM speeds
HAVING count(*) > 0
