-- Question:   Which creation times can be trusted?
-- Grain:      one class of creation time.
-- Definition: a year before Docker's first release (2013) is a stamp of a reproducible build.
-- Slide:      20
SELECT
    CASE
        WHEN trend_year IS NOT NULL THEN 'plausible'
        WHEN created_year IS NULL THEN 'missing or unreadable'
        ELSE 'stamp of the year ' || created_year
    END AS creation_time,
    count(*) AS images
FROM landscape_images
GROUP BY ALL
ORDER BY images DESC, creation_time
