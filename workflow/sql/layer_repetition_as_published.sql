-- Question:   How often does a layer appear, as the paper counts?
-- Grain:      one digest.
-- Definition: layer rows of tags with a manifest of their own.
-- Slide:      25
SELECT l.digest, count(*) AS appearances
FROM layers AS l
JOIN landscape_images_as_published AS i USING (image_id)
GROUP BY l.digest
ORDER BY appearances DESC, l.digest
