-- Question:   How much of a container set is pulled anew, by the way its images are built?
-- Grain:      one container set.
-- Definition: as in tab_build_strategies.
SELECT *
FROM tab_build_strategies
ORDER BY set_name
