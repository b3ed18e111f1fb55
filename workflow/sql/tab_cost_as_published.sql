-- Question:   What does pulling cost, by the slides' own reckoning?
-- Grain:      one example of the slides at one of their speeds.
-- Definition: all images the same (shared) against images with nothing in common (separate); times
--             in whole seconds, differences in whole seconds or minutes, whole dollars an hour.
-- Slide:      cost
SELECT
    scenario,
    speed,
    megabytes_per_second,
    images,
    shared_layers,
    separate_layers,
    shared_bytes,
    separate_bytes,
    shared_seconds,
    separate_seconds,
    saved_seconds,
    nodes,
    nodes * dollars_per_node_hour AS dollars_per_hour,
    saved_dollars
FROM costs
WHERE definition = 'as_published'
ORDER BY scenario, megabytes_per_second
