-- Question:   Is the local SSD "often 1.25 times" faster, as the paper counts?
-- Grain:      a run on a network disk and one on SSD.
-- Definition: medians over all pods; cells are image sizes and clusters.
-- Slide:      crafting and pulling
SELECT
    study,
    baseline_run,
    treatment_run,
    count(*) AS cells,
    count(*) FILTER (WHERE speedup >= 1.25) AS cells_of_1_25,
    count(*) FILTER (WHERE speedup >= 1.25) / count(*) AS share_of_1_25,
    min(speedup) AS smallest_speedup,
    max(speedup) AS largest_speedup,
    exp(avg(ln(speedup))) AS speedup
FROM fig_pull_time_by_disk_as_published
GROUP BY ALL
ORDER BY ALL
