-- Question:   On which distributions are base images built (Table III)?
-- Grain:      one family of base images, and all of them together.
-- Definition: as in fig_base_families.
-- Slide:      Table III
SELECT
    coalesce(family, 'all') AS family,
    count(*) AS images,
    min(score) AS score_minimum,
    max(score) AS score_maximum
FROM bases
GROUP BY ROLLUP (family)
ORDER BY images DESC, family
