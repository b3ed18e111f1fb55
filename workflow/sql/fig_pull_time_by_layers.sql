-- Question:   Does it matter over how many layers an image of one size is spread?
-- Grain:      one layer count of one size, machine type and cluster size.
-- Definition: seconds of the pull alone, over the nodes that pulled; only where one run pulled the
--             same size with at least three layer counts.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    any_value(platform) AS platform,
    cluster_size,
    nominal_bytes,
    layers,
    count(*) AS pulls,
    min(seconds) AS minimum,
    median(seconds) AS median,
    max(seconds) AS maximum
FROM cluster_pulls
WHERE kind = 'crafted'
GROUP BY study, run, cluster_size, nominal_bytes, layers
QUALIFY count(*) OVER (PARTITION BY study, run, cluster_size, nominal_bytes) >= 3
ORDER BY study, run, cluster_size, nominal_bytes, layers
