-- Question:   How long did the jobs take for which images were pulled?
-- Grain:      one job and the image of the study that it pulled.
-- Definition: from the job's first pod until the job had ended; jobs whose end is not recorded have
--             no seconds. `slowest_pull_seconds` is the pull that the job waited for.
-- Slide:      crafting and pulling
SELECT
    p.study,
    p.run,
    p.strategy,
    p.platform,
    p.registry,
    p.cluster_size,
    p.kind,
    p.subject,
    p.layers,
    p.nominal_bytes,
    j.job,
    j.outcome,
    j.created_at_utc,
    j.completed_at_utc,
    j.seconds,
    count(*) AS pulls,
    max(p.seconds) AS slowest_pull_seconds,
    median(p.seconds) AS median_pull_seconds
FROM jobs AS j
JOIN measured_pulls AS p ON p.job = j.job AND p.image = j.image
GROUP BY ALL
