-- Question:   Does a larger machine pull faster?
-- Grain:      one image size, compared between two runs; null: all together.
-- Definition: runs that differ in nothing but the machine type, over the images that both pulled;
--             speedup: median seconds on the first over those on the second, geometric mean.
-- Slide:      crafting and pulling
SELECT
    study,
    kind,
    baseline_run,
    treatment_run,
    baseline AS baseline_machine,
    treatment AS treatment_machine,
    cluster_size,
    nominal_bytes,
    cells AS images,
    baseline_nodes,
    treatment_nodes,
    baseline_seconds,
    treatment_seconds,
    1 / ratio AS speedup,
    1 / ratio_high AS speedup_low,
    1 / ratio_low AS speedup_high
FROM comparisons
WHERE
    factor = 'platform'
    AND measure = 'median'
    AND subject IS NULL
    AND cluster_size IS NULL
    AND study IN (SELECT study FROM cluster_pulls)
ORDER BY ALL
