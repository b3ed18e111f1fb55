-- Question:   How many layers are in at least so many images, and how many bytes are they?
-- Grain:      one number of images that some layer is in.
-- Definition: complementary cumulative count over unique digests.
-- Slide:      25
WITH by_images AS (
    SELECT images, count(*) AS layers, sum(size_bytes) AS size_bytes
    FROM layer_repetition
    GROUP BY images
)
SELECT
    images,
    sum(layers) OVER (ORDER BY images DESC) AS layers_at_least,
    sum(size_bytes) OVER (ORDER BY images DESC) AS size_bytes_at_least
FROM by_images
ORDER BY images
