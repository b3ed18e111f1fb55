-- Question:   Which images do Dockerfiles build on?
-- Grain:      one of the twenty most named repositories, by collection.
-- Definition: every FROM counts that names an image, not an earlier stage or scratch.
-- Slide:      10
WITH named AS (
    SELECT
        d.collection,
        CASE s.registry WHEN 'docker.io' THEN '' ELSE s.registry || '/' END
            || regexp_replace(s.repository, '^library/', '') AS image
    FROM stages AS s
    JOIN dockerfiles AS d USING (dockerfile_id)
    WHERE s.repository IS NOT NULL AND NOT s.is_earlier_stage AND NOT s.is_scratch
),
top_images AS (
    SELECT image, count(*) AS total
    FROM named
    GROUP BY image
    ORDER BY total DESC, image
    LIMIT 20
)
SELECT t.image, n.collection, count(*) AS stages, any_value(t.total) AS total
FROM named AS n
JOIN top_images AS t USING (image)
GROUP BY t.image, n.collection
ORDER BY total DESC, t.image, n.collection
