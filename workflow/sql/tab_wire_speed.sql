-- Question:   How fast are real images pulled, in bytes on the wire?
-- Grain:      one run of application images on plain nodes.
-- Definition: compressed bytes over the seconds of the pull, in 10^6 bytes a second: download,
--             decompression and unpacking together.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    count(*) AS pulls,
    count(DISTINCT subject) AS images,
    min(compressed_bytes) AS smallest_bytes,
    max(compressed_bytes) AS largest_bytes,
    quantile_cont(compressed_bytes / seconds / 1e6, 0.05) AS p5_megabytes_per_second,
    median(compressed_bytes / seconds / 1e6) AS median_megabytes_per_second,
    quantile_cont(compressed_bytes / seconds / 1e6, 0.95) AS p95_megabytes_per_second
FROM measured_pulls
WHERE kind = 'application' AND strategy = 'plain' AND compressed_bytes IS NOT NULL
GROUP BY study, run
ORDER BY study, run
