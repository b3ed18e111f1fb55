-- Question:   How far are the images of a container set the same: config, layers, unpacked, commands?
-- Grain:      one level of a container set.
-- Definition: a pair is identical when nothing differs on the level; score: 2 shared / (in_a + in_b), as
--             Singularity Hub; mean over the pairs of different images. as_published: Jaccard over the
--             full matrix with its diagonal of ones, standard deviation by n; on the level commands it
--             is the paper's similarity of layer content.
WITH pairs_of AS (
    SELECT
        set_name,
        level,
        count(*) AS pairs,
        (1 + sqrt(1 + 8 * count(*))) / 2 AS images,
        count(*) FILTER (is_identical) AS identical_pairs,
        avg(score) AS score_mean,
        avg(jaccard) AS jaccard_mean,
        min(jaccard) AS jaccard_minimum,
        max(jaccard) AS jaccard_maximum,
        sum(jaccard) AS jaccard_sum,
        sum(jaccard * jaccard) AS jaccard_squares
    FROM image_comparisons
    GROUP BY set_name, level
),
matrices AS (
    SELECT
        *,
        (2 * jaccard_sum + images) / (images * images) AS full_mean,
        (2 * jaccard_squares + images) / (images * images) AS full_squares
    FROM pairs_of
)
SELECT
    set_name,
    level,
    images::BIGINT AS images,
    pairs,
    identical_pairs,
    score_mean,
    jaccard_mean,
    jaccard_minimum,
    jaccard_maximum,
    full_mean AS jaccard_mean_as_published,
    sqrt(greatest(full_squares - full_mean * full_mean, 0)) AS jaccard_sd_as_published
FROM matrices
ORDER BY set_name, level
