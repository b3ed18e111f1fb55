-- Question:   What does pulling cost with the layers that images do share, at measured speeds?
-- Grain:      one example of the slides, or one container set, at one speed on one cluster.
-- Definition: shared: each digest pulled once; separate: each image alone, nothing kept. Nothing is
--             rounded. stated: the slides' speeds; measured: the 5th percentile, the median and the
--             95th of the study's own pulls of applications, or else assumed in the config.
-- Slide:      cost
SELECT
    scenario,
    speed_source,
    speed,
    megabytes_per_second,
    nodes,
    images,
    shared_layers,
    separate_layers,
    shared_bytes,
    separate_bytes,
    shared_seconds,
    separate_seconds,
    saved_seconds,
    shared_dollars,
    separate_dollars,
    saved_dollars
FROM costs
WHERE definition = 'right'
ORDER BY scenario, speed_source, megabytes_per_second, nodes
