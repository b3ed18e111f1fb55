-- Question:   What takes longer when several nodes of one machine pull?
-- Grain:      one image on one cluster of a run that has several.
-- Definition: as by run; ideal nodes would all take what one takes, so what grows is shared: the
--             registry, or this machine's processors and disk.
-- Slide:      crafting and pulling
WITH several AS (
    SELECT *
    FROM machine_pulls
    WHERE kind = 'crafted'
    QUALIFY
        min(cluster_size) OVER (PARTITION BY study, run)
        < max(cluster_size) OVER (PARTITION BY study, run)
)
SELECT
    study,
    run,
    cluster_size,
    layers,
    nominal_bytes,
    count(*) AS pulls,
    avg(seconds) AS pull_seconds,
    min(seconds) AS minimum,
    max(seconds) AS maximum,
    avg(download_seconds) AS download_seconds,
    avg(decompress_seconds) AS decompress_seconds,
    avg(unpack_seconds) AS unpack_seconds,
    avg(
        seconds
        - coalesce(download_seconds, 0)
        - coalesce(decompress_seconds, 0)
        - coalesce(unpack_seconds, 0)
    ) AS rest_seconds,
    avg(ready_seconds - seconds) AS start_seconds
FROM several
GROUP BY study, run, cluster_size, layers, nominal_bytes
ORDER BY study, run, layers, nominal_bytes, cluster_size
