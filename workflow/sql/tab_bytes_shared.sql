-- Question:   How many bytes does sharing layers save a registry, or a node that has all images?
-- Grain:      one row for the whole collection.
-- Definition: an image holds a digest once, however often its manifest names it; unshared bytes are
--             those of all images, stored bytes those of the distinct layers.
WITH image_layers AS (
    SELECT DISTINCT l.image_id, l.digest, l.size_bytes
    FROM layers AS l
    JOIN landscape_images AS i USING (image_id)
),
digests AS (
    SELECT digest, max(size_bytes) AS size_bytes, count(DISTINCT image_id) AS images
    FROM image_layers
    GROUP BY digest
)
SELECT
    (SELECT count(DISTINCT image_id) FROM image_layers) AS images,
    count(*) AS layers,
    count(*) FILTER (images > 1) AS shared_layers,
    sum(size_bytes * images)::BIGINT AS unshared_bytes,
    sum(size_bytes)::BIGINT AS stored_bytes,
    (sum(size_bytes * images) - sum(size_bytes))::BIGINT AS saved_bytes,
    1 - sum(size_bytes) / nullif(sum(size_bytes * images), 0) AS saved_share
FROM digests
