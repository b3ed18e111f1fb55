-- Question:   How often does a layer appear, and in how many images?
-- Grain:      one digest.
-- Definition: appearances are layer rows (an image may hold a layer twice); images and repositories
--             are counted once each.
-- Slide:      25
SELECT
    l.digest,
    max(l.size_bytes) AS size_bytes,
    count(*) AS appearances,
    count(DISTINCT l.image_id) AS images,
    count(DISTINCT i.name) AS repositories
FROM layers AS l
JOIN landscape_images AS i USING (image_id)
GROUP BY l.digest
ORDER BY appearances DESC, l.digest
