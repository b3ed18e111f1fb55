-- Question:   What does one more layer cost?
-- Grain:      one image size on one cluster of a run.
-- Definition: slope of a straight line through the median pull times by layer count; the share is
--             what 100 layers add to the time at no layer.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    cluster_size,
    nominal_bytes,
    cells AS layer_counts,
    seconds_per_unit AS seconds_per_layer,
    seconds_per_unit_low AS seconds_per_layer_low,
    seconds_per_unit_high AS seconds_per_layer_high,
    intercept_seconds,
    100 * seconds_per_unit / intercept_seconds AS share_of_100_layers
FROM trends
WHERE variable = 'layers' AND kind = 'crafted'
ORDER BY study, run, cluster_size, nominal_bytes
