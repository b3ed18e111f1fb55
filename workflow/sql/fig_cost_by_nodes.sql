-- Question:   What does a cluster pay to pull an image, by its size and by how images are built?
-- Grain:      one container set, on one cluster, at one speed.
-- Definition: dollars for an image of the set: of the whole set over its images. The speeds that the
--             study measured, or else those assumed in its config.
-- Slide:      cost
SELECT
    c.scenario,
    c.nodes,
    c.speed,
    c.speed_source,
    c.megabytes_per_second,
    c.shared_dollars / c.images AS shared_dollars,
    c.separate_dollars / c.images AS separate_dollars
FROM costs AS c
INNER JOIN build_strategies AS b ON b.set_name = c.scenario
WHERE c.definition = 'right' AND c.speed_source <> 'stated'
ORDER BY c.scenario, c.megabytes_per_second, c.nodes
