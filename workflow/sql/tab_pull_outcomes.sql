-- Question:   How did the pulls end?
-- Grain:      one outcome of one run.
-- Definition: all pulls of all images, the clusters' own too; present: the image had been there.
-- Slide:      crafting and pulling
SELECT
    study,
    run,
    outcome,
    count(*) AS pulls,
    sum(reports) AS reports,
    max(attempt) AS most_attempts,
    any_value(error) AS example_of_error
FROM pulls
GROUP BY ALL
ORDER BY ALL
