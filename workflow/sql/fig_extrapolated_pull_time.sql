-- Question:   How long would a pull take on clusters that nobody has run?
-- Grain:      one image on one simulated cluster of a run.
-- Definition: the model of the pulls, calibrated on all measured runs; held_out_error is its median
--             error for this run when calibration did not see it. Beyond the measured sizes, and
--             for images of real bytes, the network is not in it: the data cannot tell it.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    strategy,
    cluster_size,
    layers,
    nominal_bytes,
    fastest_seconds,
    median_seconds,
    p95_seconds,
    slowest_seconds,
    finish_seconds,
    wait_seconds,
    held_out_error,
    held_out_p90_error,
    times_measured_nodes,
    times_measured_bytes
FROM extrapolations
ORDER BY study, run, layers, nominal_bytes, cluster_size
