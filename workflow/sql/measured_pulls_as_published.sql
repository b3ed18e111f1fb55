-- Question:   Which pulls does the paper draw, and at which size?
-- Grain:      one report of one pod: pods that shared a node count one pull several times.
-- Definition: the tag holds the wanted size less 5,000,000 bytes for the base image; the paper
--             takes these off a second time, so an image stands 10,000,000 bytes too far left.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    strategy,
    platform,
    registry,
    cluster_size,
    layers,
    nominal_bytes - 10000000 AS size_bytes,
    image,
    node,
    unnest(reported_seconds) AS seconds
FROM pulls
WHERE outcome IN ('pulled', 'not_started') AND nominal_bytes IS NOT NULL
