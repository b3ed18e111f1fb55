-- Question:   Which repositories do the Dockerfiles name as base images?
-- Grain:      one repository, the most named first; at the end each name that is none.
-- Definition: every FROM that names an image, without an open variable; not scratch, not an earlier
--             stage. Official images are named in their short form. What is no image reference
--             stands here as it is written: the harvest refuses it and says why.
-- Slide:      10
SELECT
    CASE
        WHEN repository IS NULL THEN base_resolved
        WHEN registry = 'docker.io' THEN regexp_replace(repository, '^library/', '')
        ELSE registry || '/' || repository
    END AS name,
    count(*) AS stages
FROM stages
WHERE is_resolved AND NOT is_earlier_stage AND NOT is_scratch
GROUP BY name
ORDER BY bool_and(repository IS NULL), stages DESC, name
