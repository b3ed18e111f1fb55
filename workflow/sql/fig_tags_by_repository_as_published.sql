-- Question:   What did the paper count as the tags of a base image?
-- Grain:      one repository.
-- Definition: groupby(uri)["tag"].count() over a table with one row per layer: it counts layers.
-- Slide:      14
SELECT i.name, count(*) AS tags
FROM landscape_images_as_published AS i
JOIN layers AS l USING (image_id)
GROUP BY i.name
ORDER BY tags DESC, i.name
