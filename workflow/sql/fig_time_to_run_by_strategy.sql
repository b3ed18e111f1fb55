-- Question:   Does an image that is streamed only seem to be there at once?
-- Grain:      one image on one cluster of a run.
-- Definition: pull: the kubelet's own figure, median over nodes. ready: from the pod being given to
--             the node until its container had started. job: from the first pod until the job had
--             ended, so that reading what the container needs is in it; null where no event of the
--             job is kept.
-- Slide:      crafting and pulling
WITH seen AS (
    SELECT
        study,
        run,
        any_value(strategy) AS strategy,
        any_value(registry) AS registry,
        any_value(repository) AS repository,
        cluster_size,
        kind,
        subject,
        nominal_bytes,
        any_value(layers) AS layers,
        count(*) AS pulls,
        median(seconds) AS pull_seconds,
        min(seconds) AS pull_minimum,
        max(seconds) AS pull_maximum,
        median(ready_seconds) AS ready_seconds
    FROM cluster_pulls
    GROUP BY study, run, cluster_size, kind, subject, nominal_bytes
),
worked AS (
    SELECT study, run, cluster_size, subject, avg(seconds) AS job_seconds
    FROM measured_jobs
    GROUP BY study, run, cluster_size, subject
)
SELECT s.*, w.job_seconds
FROM seen AS s
LEFT JOIN worked AS w USING (study, run, cluster_size, subject)
ORDER BY s.study, s.kind, s.run, s.cluster_size, s.nominal_bytes, s.subject
