-- Question:   Does a pull take longer in a larger cluster?
-- Grain:      one larger cluster of a run compared with its smallest.
-- Definition: medians over nodes of the same images, geometric mean of the ratios; above 1: longer.
-- Slide:      crafting and pulling
SELECT
    study,
    baseline_run AS run,
    kind,
    CAST(baseline AS INTEGER) AS smaller_cluster,
    CAST(treatment AS INTEGER) AS larger_cluster,
    cells AS images,
    baseline_nodes,
    treatment_nodes,
    ratio,
    ratio_low,
    ratio_high
FROM comparisons
WHERE factor = 'cluster_size' AND measure = 'median' AND nominal_bytes IS NULL AND subject IS NULL
ORDER BY study, run, kind, smaller_cluster, larger_cluster
