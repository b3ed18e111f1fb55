-- Question:   Is the local SSD "often 1.25 times" faster?
-- Grain:      two runs that differ in nothing but the disk.
-- Definition: over image sizes and clusters one by one, beside the geometric mean over all.
-- Slide:      crafting and pulling
WITH cells AS (
    SELECT * FROM fig_pull_time_by_disk
    WHERE cluster_size IS NOT NULL AND nominal_bytes IS NOT NULL
)
SELECT
    c.study,
    c.kind,
    c.baseline_run,
    c.treatment_run,
    count(*) AS cells,
    count(*) FILTER (WHERE c.speedup >= 1.25) AS cells_of_1_25,
    count(*) FILTER (WHERE c.speedup >= 1.25) / count(*) AS share_of_1_25,
    min(c.speedup) AS smallest_speedup,
    max(c.speedup) AS largest_speedup,
    any_value(p.speedup) AS speedup,
    any_value(p.speedup_low) AS speedup_low,
    any_value(p.speedup_high) AS speedup_high,
    any_value(p.steadiness) AS steadiness,
    any_value(p.steadiness_low) AS steadiness_low,
    any_value(p.steadiness_high) AS steadiness_high
FROM cells AS c
JOIN fig_pull_time_by_disk AS p
    ON p.study = c.study
    AND p.kind = c.kind
    AND p.baseline_run = c.baseline_run
    AND p.treatment_run = c.treatment_run
    AND p.cluster_size IS NULL
    AND p.nominal_bytes IS NULL
GROUP BY c.study, c.kind, c.baseline_run, c.treatment_run
ORDER BY ALL
