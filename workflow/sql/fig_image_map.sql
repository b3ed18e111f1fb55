-- Question:   Do images group by the base they are built on?
-- Grain:      one point: images with the same document vector.
-- Definition: family of the base image of the point's first image, by file paths of its repository;
--             null where the repository was not classified.
WITH families AS (
    SELECT name, any_value(family ORDER BY family) AS family
    FROM bases
    GROUP BY name
)
SELECT p.x, p.y, p.copies, f.family
FROM document_map AS p
JOIN documents AS d USING (document_id)
JOIN images AS i ON i.image_id = d.source_id
LEFT JOIN families AS f ON f.name = i.name
ORDER BY p.document_id
