-- Question:   Are pulls faster from a registry in the same cloud?
-- Grain:      one image size and cluster size, compared between two runs; null: all together.
-- Definition: runs that differ in nothing but the registry; ratio below 1: the second is faster.
--             Medians over nodes, interval by drawing nodes again.
-- Slide:      crafting and pulling
SELECT
    study,
    kind,
    baseline_run,
    treatment_run,
    baseline AS baseline_registry,
    treatment AS treatment_registry,
    cluster_size,
    nominal_bytes,
    cells,
    baseline_nodes,
    treatment_nodes,
    baseline_seconds,
    treatment_seconds,
    ratio,
    ratio_low,
    ratio_high
FROM comparisons
WHERE
    factor = 'registry'
    AND measure = 'median'
    AND subject IS NULL
    AND study IN (SELECT study FROM cluster_pulls)
ORDER BY ALL
