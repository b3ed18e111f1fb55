-- Question:   How much of the spread of a cluster's nodes does chance alone explain?
-- Grain:      one cluster size of a run, crafted images or applications.
-- Definition: geometric means over images of the spread of the ends; explained: expected over seen.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    kind,
    cluster_size,
    count(*) AS images,
    avg(nodes) AS nodes,
    avg(start_spread_seconds) AS start_spread_seconds,
    exp(avg(ln(finish_spread_seconds))) AS finish_spread_seconds,
    exp(avg(ln(expected_finish_spread_seconds))) AS expected_finish_spread_seconds,
    exp(avg(ln(expected_finish_spread_seconds / finish_spread_seconds))) AS explained,
    avg(wait_seconds / median_seconds) AS wait_share
FROM fig_spread_by_nodes
WHERE finish_spread_seconds > 0 AND expected_finish_spread_seconds > 0
GROUP BY ALL
ORDER BY ALL
