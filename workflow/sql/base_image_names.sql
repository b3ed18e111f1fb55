-- Question:   Which repositories do the Dockerfiles name as base images?
-- Grain:      one repository, the most named first.
-- Definition: every FROM that names an image, without an open variable; not scratch, not an earlier
--             stage. Official images are named in their short form.
-- Slide:      10
SELECT
    CASE registry WHEN 'docker.io' THEN '' ELSE registry || '/' END
        || regexp_replace(repository, '^library/', '') AS name,
    count(*) AS stages
FROM stages
WHERE repository IS NOT NULL AND is_resolved AND NOT is_earlier_stage AND NOT is_scratch
GROUP BY ALL
ORDER BY stages DESC, name
