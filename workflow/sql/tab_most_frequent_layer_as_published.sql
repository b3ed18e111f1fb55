-- Question:   Which layer appears most often?
-- Grain:      the one digest with most layer rows.
-- Definition: layer rows of tags with a manifest of their own.
-- Slide:      26
SELECT l.digest, max(l.size_bytes) AS size_bytes, count(*) AS appearances
FROM layers AS l
JOIN landscape_images_as_published AS i USING (image_id)
GROUP BY l.digest
ORDER BY appearances DESC, l.digest
LIMIT 1
