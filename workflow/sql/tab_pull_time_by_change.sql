-- Question:   What does one change do to a pull, in seconds and times?
-- Grain:      one change and measure.
-- Definition: see the figure of the same name.
-- Slide:      crafting and pulling
SELECT
    study,
    change,
    measure,
    cells,
    baseline_seconds,
    treatment_seconds,
    ratio,
    ratio_low,
    ratio_high
FROM fig_pull_time_by_change
ORDER BY ALL
