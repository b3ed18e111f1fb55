-- Question:   How many tags does a base image have, in short?
-- Grain:      the whole study: one row.
-- Definition: tags that the registry listed; no repository is left out.
-- Slide:      14
SELECT
    count(*) AS repositories,
    min(tags) AS minimum,
    median(tags) AS median,
    avg(tags) AS mean,
    stddev_samp(tags) AS standard_deviation,
    max(tags) AS maximum
FROM fig_tags_by_repository
