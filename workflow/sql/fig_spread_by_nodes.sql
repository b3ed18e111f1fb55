-- Question:   Do larger clusters wait longer for their slowest node, and is that more than chance?
-- Grain:      one image on one cluster of a run.
-- Definition: spread: from the first node's end to the last one's. expected: what as many nodes show
--             when each draws its speed from the run's one distribution (all cluster sizes, same
--             image) and starts when it did. wait: mean time a node is done before the last one.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    strategy,
    cluster_size,
    kind,
    subject,
    nominal_bytes,
    nodes,
    median_seconds,
    fastest_seconds,
    slowest_seconds,
    expected_fastest_seconds,
    expected_slowest_seconds,
    start_spread_seconds,
    finish_spread_seconds,
    expected_finish_spread_seconds,
    wait_seconds,
    wait_seconds / median_seconds AS wait_share
FROM spreads
WHERE nodes > 1 AND study IN (SELECT study FROM cluster_pulls)
ORDER BY study, run, cluster_size, nominal_bytes, subject
