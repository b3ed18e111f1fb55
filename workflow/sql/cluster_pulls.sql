-- Question:   Which pulls tell of clusters?
-- Grain:      one pull of `measured_pulls`.
-- Definition: nodes that are made on one machine share its processors and its disk: they count only
--             in a study that has no others.
-- Slide:      crafting and pulling
WITH placed AS (
    SELECT *, coalesce(starts_with(platform, 'local/'), false) AS is_on_one_machine
    FROM measured_pulls
)
SELECT * EXCLUDE (is_on_one_machine)
FROM placed
WHERE NOT is_on_one_machine OR (SELECT bool_and(is_on_one_machine) FROM placed)
