-- Question:   Which clusters are there, and of which of them are the pulls kept?
-- Grain:      one cluster of a run.
-- Definition: nodes: as the list of nodes or the events say; pulling_nodes: those with a pull of an
--             image of the study; pods that shared a node reported one pull several times.
-- Slide:      crafting and pulling
WITH clusters AS (
    SELECT
        study,
        run,
        any_value(strategy) AS strategy,
        any_value(platform) AS platform,
        cluster_size,
        count(*) AS nodes,
        any_value(kubelet) AS kubelet,
        any_value(container_runtime) AS container_runtime,
        any_value(boot_disk) AS boot_disk,
        min(cpus) AS cpus
    FROM nodes
    GROUP BY study, run, cluster_size
),
measured AS (
    SELECT
        study,
        run,
        cluster_size,
        string_agg(DISTINCT registry, ' ' ORDER BY registry) AS registries,
        count(*) AS pulls,
        sum(reports) AS reports,
        count(DISTINCT node) AS pulling_nodes,
        count(DISTINCT subject) AS images,
        min(requested_at_utc) AS first_at_utc
    FROM measured_pulls
    GROUP BY study, run, cluster_size
)
SELECT
    c.*,
    m.registries,
    coalesce(m.images, 0) AS images,
    coalesce(m.pulls, 0) AS pulls,
    coalesce(m.reports, 0) AS reports,
    coalesce(m.pulling_nodes, 0) AS pulling_nodes,
    m.first_at_utc
FROM clusters AS c
LEFT JOIN measured AS m
    ON m.study = c.study
    AND m.run = c.run
    AND m.cluster_size IS NOT DISTINCT FROM c.cluster_size
ORDER BY c.study, c.run, c.cluster_size
