-- Question:   When does each node do what, while a cluster pulls one image?
-- Grain:      one node pulling one image on one cluster of a run.
-- Definition: seconds since the first pod of the image was given to a node of the cluster.
-- Slide:      crafting and pulling
WITH clocked AS (
    SELECT
        *,
        min(coalesce(scheduled_at_utc, requested_at_utc))
            OVER (PARTITION BY study, run, cluster_size, subject, attempt) AS begin_at_utc
    FROM cluster_pulls
    WHERE requested_at_utc IS NOT NULL
)
SELECT
    study,
    run,
    strategy,
    cluster_size,
    kind,
    subject,
    nominal_bytes,
    node,
    dense_rank() OVER (PARTITION BY study, run, cluster_size ORDER BY node) AS node_number,
    (epoch_us(scheduled_at_utc) - epoch_us(begin_at_utc)) / 1e6 AS scheduled_seconds,
    (epoch_us(requested_at_utc) - epoch_us(begin_at_utc)) / 1e6 AS requested_seconds,
    (epoch_us(started_at_utc) - epoch_us(begin_at_utc)) / 1e6 AS started_seconds,
    (epoch_us(pulled_at_utc) - epoch_us(begin_at_utc)) / 1e6 AS pulled_seconds,
    (epoch_us(ready_at_utc) - epoch_us(begin_at_utc)) / 1e6 AS ready_seconds
FROM clocked
ORDER BY study, run, cluster_size, nominal_bytes, subject, node, attempt
