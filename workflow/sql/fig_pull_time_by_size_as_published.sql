-- Question:   What did the paper show as the time of a pull by size and nodes?
-- Grain:      one image size, layer count and cluster size of a run.
-- Definition: all pods count, also several of one node, and 5,000,000 bytes are taken off twice.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    cluster_size,
    layers,
    size_bytes,
    count(*) AS reports,
    median(seconds) AS median,
    avg(seconds) AS mean,
    stddev_samp(seconds) AS standard_deviation
FROM measured_pulls_as_published
GROUP BY study, run, cluster_size, layers, size_bytes
ORDER BY study, run, layers, cluster_size, size_bytes
