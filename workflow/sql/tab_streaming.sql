-- Question:   What does image streaming gain, at the event and for the whole job?
-- Grain:      one cluster size, crafted images or applications.
-- Definition: streamed over not streamed, geometric means over the same images from the same
--             registry. Above 1 streaming is slower. The first cluster finds the provider's cache
--             cold.
-- Slide:      crafting and pulling
SELECT
    b.study,
    b.kind,
    b.run AS baseline_run,
    t.run AS treatment_run,
    cluster_size,
    count(*) AS images,
    exp(avg(ln(b.pull_seconds))) AS baseline_pull_seconds,
    exp(avg(ln(t.pull_seconds))) AS treatment_pull_seconds,
    exp(avg(ln(t.pull_seconds / b.pull_seconds))) AS pull_ratio,
    exp(avg(ln(t.job_seconds / b.job_seconds))) AS job_ratio,
    max_by(b.job_seconds, b.nominal_bytes) AS baseline_largest_job_seconds,
    max_by(t.job_seconds, t.nominal_bytes) AS treatment_largest_job_seconds,
    median(b.pull_seconds) AS baseline_median_seconds,
    median(t.pull_seconds) AS treatment_median_seconds
FROM fig_time_to_run_by_strategy AS b
JOIN fig_time_to_run_by_strategy AS t
    USING (study, kind, subject, cluster_size, registry, repository)
WHERE b.strategy = 'plain' AND t.strategy = 'streaming'
GROUP BY b.study, b.kind, b.run, t.run, cluster_size
ORDER BY ALL
