-- Question:   How does the time of a pull depend on the image's size and on the cluster's?
-- Grain:      one image size, layer count and cluster size of a run.
-- Definition: seconds of the pull alone, over the nodes that pulled; waiting is left out.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    any_value(strategy) AS strategy,
    any_value(platform) AS platform,
    any_value(registry) AS registry,
    cluster_size,
    layers,
    nominal_bytes,
    median(compressed_bytes) AS compressed_bytes,
    count(*) AS pulls,
    count(DISTINCT node) AS nodes,
    min(seconds) AS minimum,
    quantile_cont(seconds, 0.25) AS p25,
    median(seconds) AS median,
    quantile_cont(seconds, 0.75) AS p75,
    max(seconds) AS maximum,
    avg(seconds) AS mean,
    stddev_samp(seconds) AS standard_deviation
FROM cluster_pulls
WHERE kind = 'crafted'
GROUP BY study, run, cluster_size, layers, nominal_bytes
ORDER BY study, run, layers, cluster_size, nominal_bytes
