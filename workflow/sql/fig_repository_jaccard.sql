-- Question:   Which repositories share layers?
-- Grain:      one pair of repositories (first before second) that share a digest.
-- Definition: one image per repository; shared digests over the digests that one of both has.
WITH layers_of AS (
    SELECT DISTINCT name, digest
    FROM subset
),
sizes AS (
    SELECT name, count(*) AS digests
    FROM layers_of
    GROUP BY name
),
shared AS (
    SELECT a.name AS first, b.name AS second, count(*) AS shared_digests
    FROM layers_of AS a
    JOIN layers_of AS b ON b.digest = a.digest AND a.name < b.name
    GROUP BY a.name, b.name
)
SELECT
    s.first,
    s.second,
    s.shared_digests / (a.digests + b.digests - s.shared_digests) AS jaccard
FROM shared AS s
JOIN sizes AS a ON a.name = s.first
JOIN sizes AS b ON b.name = s.second
ORDER BY s.first, s.second
