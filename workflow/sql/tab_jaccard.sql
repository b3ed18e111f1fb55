-- Question:   How similar are the layer digests of repositories, of images, of container sets?
-- Grain:      one collection of digest sets.
-- Definition: as_published: over the full matrix with its diagonal of ones, standard deviation by n;
--             else over the pairs of different repositories or images. Repositories: one image each.
SELECT
    collection,
    sets,
    distinct_sets,
    digests,
    mean_as_published,
    sd_as_published,
    mean,
    sd AS standard_deviation,
    median,
    pairs_sharing,
    pairs_sharing / nullif(sets * (sets - 1) / 2, 0) AS share_of_pairs_sharing
FROM jaccard_summary
ORDER BY collection
