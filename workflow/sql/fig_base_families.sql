-- Question:   On which distributions are base images built, and how surely is it known?
-- Grain:      one family of base images.
-- Definition: the family with the highest share of known paths; score 1 fits completely.
-- Slide:      Table III
SELECT
    family,
    count(*) AS images,
    min(score) AS score_minimum,
    median(score) AS score_median,
    max(score) AS score_maximum
FROM bases
GROUP BY family
ORDER BY images DESC, family
