-- Question:   Which speed-up by a local SSD does the paper see?
-- Grain:      one image size and cluster size, compared between two runs.
-- Definition: medians over all pods, also several of one node; every run on a network disk is
--             compared, whatever its registry.
-- Slide:      crafting and pulling
WITH cells AS (
    SELECT
        study,
        run,
        any_value(strategy) AS strategy,
        cluster_size,
        layers,
        size_bytes,
        median(seconds) AS seconds,
        stddev_samp(seconds) AS standard_deviation
    FROM measured_pulls_as_published
    GROUP BY study, run, cluster_size, layers, size_bytes
)
SELECT
    slow.study,
    slow.run AS baseline_run,
    fast.run AS treatment_run,
    cluster_size,
    layers,
    size_bytes,
    slow.seconds AS baseline_seconds,
    fast.seconds AS treatment_seconds,
    slow.seconds / fast.seconds AS speedup,
    slow.standard_deviation / fast.standard_deviation AS steadiness
FROM cells AS slow
JOIN cells AS fast USING (study, cluster_size, layers, size_bytes)
WHERE slow.strategy = 'plain' AND fast.strategy = 'local_ssd'
ORDER BY ALL
