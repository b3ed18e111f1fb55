-- Question:   Which pulls can be compared with each other?
-- Grain:      one pull by one node whose image arrived, of an image that the study chose.
-- Definition: crafted images, which have a nominal size, and applications, which the study's jobs
--             ran; what the clusters pulled for themselves is left out. `subject` names the same
--             image in every registry. Pods that shared a node are one pull.
--             `disk` is what is known of any node of the cluster.
-- Slide:      crafting and pulling
WITH applications AS (
    SELECT DISTINCT image FROM jobs WHERE image IS NOT NULL
),
disks AS (
    SELECT study, run, cluster_size, min(boot_disk) AS disk
    FROM nodes
    GROUP BY study, run, cluster_size
)
SELECT
    p.study,
    p.run,
    p.strategy,
    p.platform,
    d.disk,
    p.registry,
    regexp_replace(p.image, '(:[^:/@]+)?(@.*)?$', '') AS repository,
    p.cluster_size,
    CASE WHEN p.nominal_bytes IS NULL THEN 'application' ELSE 'crafted' END AS kind,
    CASE
        WHEN p.nominal_bytes IS NULL THEN regexp_extract(p.image, '[^/]+$')
        ELSE format('{} layers, {} bytes', p.layers, p.nominal_bytes)
    END AS subject,
    p.layers,
    p.nominal_bytes,
    p.compressed_bytes,
    p.uncompressed_bytes,
    p.image,
    p.node,
    p.job,
    p.attempt,
    p.reports,
    p.scheduled_at_utc,
    p.requested_at_utc,
    p.started_at_utc,
    p.pulled_at_utc,
    p.ready_at_utc,
    p.seconds,
    p.seconds_including_waiting,
    p.download_seconds,
    p.decompress_seconds,
    p.unpack_seconds,
    -- A node that is not given a pod is asked for the image.
    (epoch_us(p.ready_at_utc) - epoch_us(coalesce(p.scheduled_at_utc, p.requested_at_utc))) / 1e6
        AS ready_seconds
FROM pulls AS p
LEFT JOIN disks AS d
    ON d.study = p.study AND d.run = p.run AND d.cluster_size IS NOT DISTINCT FROM p.cluster_size
WHERE
    p.outcome IN ('pulled', 'not_started')
    AND p.seconds IS NOT NULL
    AND (p.nominal_bytes IS NOT NULL OR p.image IN (SELECT image FROM applications))
