-- Question:   How many layers has an image, over all images, as the paper counts?
-- Grain:      the whole study: one row.
-- Definition: one image per tag with a manifest of its own; standard deviation divides by n.
-- Slide:      20
SELECT
    count(*) AS images,
    avg(layer_count) AS mean,
    stddev_pop(layer_count) AS standard_deviation,
    max(layer_count) AS maximum
FROM landscape_images_as_published
