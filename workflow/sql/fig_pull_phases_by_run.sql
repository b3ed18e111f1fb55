-- Question:   What does a pull spend its time on?
-- Grain:      one image on the smallest cluster of a run, on one machine.
-- Definition: means over pulls, in s. download, decompress, unpack: as far as the backend tells them
--             apart (unpack is with decompression where it does not); rest: of the pull, or all of
--             it where no phase is known; start: until its container had read its share and ended.
-- Slide:      crafting and pulling
WITH smallest AS (
    SELECT *
    FROM machine_pulls
    WHERE kind = 'crafted'
    QUALIFY
        cluster_size IS NOT DISTINCT FROM min(cluster_size) OVER (PARTITION BY study, run)
)
SELECT
    study,
    run,
    strategy,
    cluster_size,
    layers,
    nominal_bytes,
    median(compressed_bytes) AS compressed_bytes,
    count(*) AS pulls,
    avg(seconds) AS pull_seconds,
    stddev_samp(seconds) AS pull_standard_deviation,
    avg(download_seconds) AS download_seconds,
    avg(decompress_seconds) AS decompress_seconds,
    avg(unpack_seconds) AS unpack_seconds,
    avg(
        seconds
        - coalesce(download_seconds, 0)
        - coalesce(decompress_seconds, 0)
        - coalesce(unpack_seconds, 0)
    ) AS rest_seconds,
    avg(ready_seconds - seconds) AS start_seconds,
    avg(ready_seconds) AS ready_seconds,
    avg(download_seconds / ready_seconds) AS download_share
FROM smallest
GROUP BY study, run, strategy, cluster_size, layers, nominal_bytes
ORDER BY study, run, layers, nominal_bytes
