-- Question:   What do the images of a container set share, by the way they are built?
-- Grain:      one container set.
-- Definition: as_published: unique digests over layers of all manifests; Jaccard over the full matrix
--             with its diagonal of ones. Right: a digest once per image; pairs of different images,
--             null where there is none.
SELECT
    b.set_name,
    b.layer_rows,
    b.image_layers,
    b.images,
    b.digests,
    b.image_bytes,
    b.distinct_bytes,
    100 * b.unique_share_as_published AS unique_percent_as_published,
    100 * b.unique_share AS unique_percent,
    100 * b.unique_bytes_share AS unique_bytes_percent,
    j.mean_as_published AS jaccard_mean_as_published,
    j.sd_as_published AS jaccard_sd_as_published,
    j.mean AS jaccard_mean,
    j.sd AS jaccard_sd,
    j.median AS jaccard_median
FROM build_strategies AS b
LEFT JOIN jaccard_summary AS j ON j.collection = b.set_name
ORDER BY b.set_name
