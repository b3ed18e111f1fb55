-- Question:   What does one change do to a pull, all else being equal?
-- Grain:      one change and measure, over all images and clusters that both sides have.
-- Definition: nodes on one machine. ratio: with the change over without it, so below 1 it is faster;
--             geometric mean of medians, interval by drawing repetitions and nodes again. pulled:
--             until the image was there; ready: until its container had read its share and ended.
-- Slide:      crafting and pulling
WITH changes (baseline_run, treatment_run, change) AS (
    VALUES
        ('zeros', 'near', 'bytes instead of zeros'),
        ('near', 'layers', 'nothing: measured twice'),
        ('near', 'zstd', 'zstd instead of gzip'),
        ('near', 'near-zstd', 'zstd instead of gzip'),
        ('near', 'estargz-plain', 'eStargz instead of gzip, pulled whole'),
        ('near', 'estargz-streaming', 'eStargz, streamed, instead of gzip'),
        ('estargz-plain', 'estargz-streaming', 'streamed instead of pulled whole'),
        ('near', 'far', 'a distant registry'),
        ('far', 'cold-cache', 'a cold cache before it'),
        ('far', 'warm-cache', 'a warm cache before it'),
        ('near', 'slow-disk', 'a slow disk')
),
pooled AS (
    SELECT *
    FROM comparisons
    WHERE
        cluster_size IS NULL
        AND nominal_bytes IS NULL
        AND subject IS NULL
        AND measure IN ('median', 'median_until_ready')
        AND study IN (SELECT study FROM machine_pulls)
),
directed AS (
    SELECT * FROM pooled
    UNION ALL BY NAME
    SELECT
        * REPLACE (
            treatment_run AS baseline_run,
            baseline_run AS treatment_run,
            treatment AS baseline,
            baseline AS treatment,
            treatment_nodes AS baseline_nodes,
            baseline_nodes AS treatment_nodes,
            treatment_seconds AS baseline_seconds,
            baseline_seconds AS treatment_seconds,
            1 / ratio AS ratio,
            1 / ratio_high AS ratio_low,
            1 / ratio_low AS ratio_high
        )
    FROM pooled
    WHERE baseline_run <> treatment_run
)
SELECT
    d.study,
    CASE d.factor
        WHEN 'layers' THEN format('{} layers instead of {} ({})', d.treatment, d.baseline, d.treatment_run)
        WHEN 'cluster_size' THEN format('{} nodes instead of {} ({})', d.treatment, d.baseline, d.treatment_run)
        ELSE c.change
    END AS change,
    d.factor,
    d.baseline_run,
    d.treatment_run,
    d.baseline,
    d.treatment,
    CASE d.measure WHEN 'median' THEN 'pulled' ELSE 'ready' END AS measure,
    d.cells,
    d.baseline_seconds,
    d.treatment_seconds,
    d.ratio,
    d.ratio_low,
    d.ratio_high,
    d.confidence
FROM directed AS d
LEFT JOIN changes AS c USING (baseline_run, treatment_run)
WHERE c.change IS NOT NULL OR d.factor IN ('layers', 'cluster_size')
ORDER BY d.study, d.factor, d.baseline_run, d.treatment_run, try_cast(d.treatment AS INTEGER), measure
