-- Question:   How large is the study?
-- Grain:      one quantity.
-- Definition: every image with known layers, multi-platform ones included.
-- Slide:      9-12
SELECT quantity, value
FROM (
    SELECT
        (SELECT count(*) FROM dockerfiles) AS dockerfiles,
        (SELECT count(*) FROM dockerfiles WHERE parse_failure IS NOT NULL) AS unparsable_dockerfiles,
        (SELECT count(DISTINCT (collection, repository)) FROM dockerfiles) AS source_repositories,
        count(DISTINCT i.name) AS repositories,
        count(DISTINCT i.image_id) AS images,
        count(*) AS layer_rows,
        count(DISTINCT l.digest) AS unique_layers
    FROM landscape_images AS i
    JOIN layers AS l USING (image_id)
)
UNPIVOT (value FOR quantity IN (
    dockerfiles, unparsable_dockerfiles, source_repositories, repositories, images, layer_rows,
    unique_layers
))
