-- Question:   How much faster, and how much steadier, are pulls onto a local SSD?
-- Grain:      one image size and cluster size, compared between two runs; null: all together.
-- Definition: runs that differ in nothing but the disk. speedup: median seconds on the network disk
--             over those on the SSD; steadiness: the same of standard deviations over nodes, from
--             clusters where at least three nodes pulled.
-- Slide:      crafting and pulling
WITH disks AS (
    SELECT * FROM comparisons
    WHERE factor = 'strategy' AND baseline = 'plain' AND treatment = 'local_ssd' AND subject IS NULL
)
SELECT
    m.study,
    m.kind,
    m.baseline_run,
    m.treatment_run,
    m.cluster_size,
    m.nominal_bytes,
    m.cells,
    m.baseline_nodes,
    m.treatment_nodes,
    m.baseline_seconds,
    m.treatment_seconds,
    1 / m.ratio AS speedup,
    1 / m.ratio_high AS speedup_low,
    1 / m.ratio_low AS speedup_high,
    s.baseline_seconds AS baseline_standard_deviation,
    s.treatment_seconds AS treatment_standard_deviation,
    1 / s.ratio AS steadiness,
    1 / s.ratio_high AS steadiness_low,
    1 / s.ratio_low AS steadiness_high
FROM disks AS m
LEFT JOIN disks AS s
    ON s.study = m.study
    AND s.kind = m.kind
    AND s.baseline_run = m.baseline_run
    AND s.treatment_run = m.treatment_run
    AND s.cluster_size IS NOT DISTINCT FROM m.cluster_size
    AND s.nominal_bytes IS NOT DISTINCT FROM m.nominal_bytes
    AND s.measure = 'standard_deviation'
WHERE m.measure = 'median'
ORDER BY ALL
