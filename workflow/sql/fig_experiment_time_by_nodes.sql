-- Question:   Does the whole experiment take longer on more nodes?
-- Grain:      one cluster size of a run.
-- Definition: experiment: from the first pod given to a node until the last container had started;
--             jobs: the sum of the jobs, where their events are kept; pulls: the sum over images of
--             the slowest node's pull, which is what coordinated nodes would wait for.
-- Slide:      crafting and pulling
WITH images AS (
    SELECT
        study,
        run,
        any_value(strategy) AS strategy,
        kind,
        cluster_size,
        subject,
        count(*) AS pulls,
        min(coalesce(scheduled_at_utc, requested_at_utc)) AS begin_at_utc,
        max(coalesce(ready_at_utc, pulled_at_utc)) AS end_at_utc,
        max(seconds) AS slowest_seconds,
        median(seconds) AS median_seconds
    FROM cluster_pulls
    GROUP BY study, run, kind, cluster_size, subject
),
worked AS (
    SELECT study, run, kind, cluster_size, count(*) AS jobs, sum(seconds) AS job_seconds
    FROM measured_jobs
    GROUP BY study, run, kind, cluster_size
)
SELECT
    i.study,
    i.run,
    any_value(i.strategy) AS strategy,
    i.kind,
    i.cluster_size,
    count(*) AS images,
    sum(i.pulls) AS pulls,
    (epoch_us(max(i.end_at_utc)) - epoch_us(min(i.begin_at_utc))) / 1e6 AS experiment_seconds,
    any_value(w.jobs) AS jobs,
    any_value(w.job_seconds) AS job_seconds,
    sum(i.slowest_seconds) AS slowest_pull_seconds,
    sum(i.median_seconds) AS median_pull_seconds
FROM images AS i
LEFT JOIN worked AS w USING (study, run, kind, cluster_size)
GROUP BY i.study, i.run, i.kind, i.cluster_size
ORDER BY i.study, i.run, i.kind, i.cluster_size
