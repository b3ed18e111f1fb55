-- Question:   What do all pods together say of two machine types?
-- Grain:      two machine types.
-- Definition: mean seconds over all pods, also several of one node, of all crafted images that both
--             pulled; large images outweigh all others.
-- Slide:      crafting and pulling
WITH shared AS (
    SELECT study, cluster_size, image
    FROM measured_pulls_as_published
    GROUP BY ALL
    HAVING count(DISTINCT platform) > 1
),
machines AS (
    SELECT p.study, p.platform, count(*) AS reports, avg(p.seconds) AS seconds
    FROM measured_pulls_as_published AS p
    JOIN shared USING (study, cluster_size, image)
    GROUP BY p.study, p.platform
)
SELECT
    a.study,
    a.platform AS baseline_machine,
    b.platform AS treatment_machine,
    a.reports AS baseline_reports,
    b.reports AS treatment_reports,
    a.seconds AS baseline_seconds,
    b.seconds AS treatment_seconds,
    a.seconds / b.seconds AS speedup
FROM machines AS a
JOIN machines AS b ON a.study = b.study AND a.platform < b.platform
ORDER BY ALL
