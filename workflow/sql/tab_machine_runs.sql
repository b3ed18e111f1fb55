-- Question:   On which machine, when, and how were pulls of one machine measured?
-- Grain:      one study and machine.
-- Definition: times are UTC, to the minute; failed: pulls without an image, not_started: without a container.
-- Slide:      crafting and pulling
WITH machines AS (
    SELECT
        study,
        max(cpus) AS cpus,
        max(memory_bytes) AS memory_bytes,
        min(kernel) AS kernel,
        min(os_image) AS os_image,
        min(container_runtime) AS container_runtime
    FROM nodes
    GROUP BY study
)
SELECT
    p.study,
    p.platform,
    m.cpus,
    m.memory_bytes,
    m.kernel,
    m.os_image,
    m.container_runtime,
    count(DISTINCT p.run) AS runs,
    count(*) AS pulls,
    count(*) FILTER (WHERE p.outcome = 'failed') AS failed,
    count(*) FILTER (WHERE p.outcome = 'not_started') AS not_started,
    date_trunc('minute', min(p.requested_at_utc)) AS first_at_utc,
    date_trunc('minute', max(p.pulled_at_utc)) AS last_at_utc
FROM pulls AS p
JOIN machines AS m USING (study)
WHERE starts_with(p.platform, 'local/')
GROUP BY ALL
ORDER BY p.study, p.platform
