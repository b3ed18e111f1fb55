-- Question:   How large is the study, counted as the paper counts?
-- Grain:      one quantity.
-- Definition: images are tags with a manifest of their own; what a multi-platform index names is
--             left out. A research repository is one of the collection `rseng`.
-- Slide:      9-12
SELECT quantity, value
FROM (
    SELECT
        (SELECT count(*) FROM dockerfiles) AS dockerfiles,
        (SELECT count(DISTINCT repository) FROM dockerfiles WHERE collection = 'rseng')
            AS research_repositories,
        count(DISTINCT i.name) AS repositories,
        count(DISTINCT i.image_id) AS images,
        count(*) AS layer_rows,
        count(DISTINCT l.digest) AS unique_layers
    FROM landscape_images_as_published AS i
    JOIN layers AS l USING (image_id)
)
UNPIVOT (value FOR quantity IN (
    dockerfiles, research_repositories, repositories, images, layer_rows, unique_layers
))
