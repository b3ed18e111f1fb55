-- Question:   How many tags does a base image have?
-- Grain:      one repository.
-- Definition: tags that the registry listed (the crawl of the paper took at most 500).
-- Slide:      14
SELECT name, count(*) AS tags
FROM tags
GROUP BY name
ORDER BY tags DESC, name
