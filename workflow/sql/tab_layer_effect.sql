-- Question:   How much longer does a pull take when the same bytes come in more layers?
-- Grain:      one layer count of one size, compared with the smallest layer count of a run.
-- Definition: medians over nodes; ratio above 1: more layers take longer.
-- Slide:      crafting and pulling
SELECT
    study,
    baseline_run AS run,
    cluster_size,
    nominal_bytes,
    CAST(baseline AS INTEGER) AS baseline_layers,
    CAST(treatment AS INTEGER) AS layers,
    baseline_nodes,
    treatment_nodes,
    baseline_seconds,
    treatment_seconds,
    ratio,
    ratio_low,
    ratio_high
FROM comparisons
WHERE
    factor = 'layers'
    AND measure = 'median'
    AND cluster_size IS NOT NULL
    AND nominal_bytes IS NOT NULL
    AND subject IS NULL
ORDER BY study, run, cluster_size, nominal_bytes, layers
