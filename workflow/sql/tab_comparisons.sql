-- Question:   Which comparisons of pull times does the study make, and how sure are they?
-- Grain:      two runs or two levels, over everything that both have.
-- Definition: see `comparisons`; ratio below 1: the second is faster, or steadier.
-- Slide:      crafting and pulling
SELECT
    study,
    factor,
    kind,
    measure,
    baseline_run,
    treatment_run,
    baseline,
    treatment,
    cells,
    baseline_nodes,
    treatment_nodes,
    ratio,
    ratio_low,
    ratio_high,
    confidence
FROM comparisons
WHERE cluster_size IS NULL AND nominal_bytes IS NULL AND subject IS NULL
ORDER BY ALL
