-- Question:   How large are images (Table I)?
-- Grain:      one percentile.
-- Definition: as_published from the paper's own subset; size_bytes over all repositories of this
--             study, multi-platform images included.
-- Slide:      Table I
SELECT percentile, p.size_bytes AS size_bytes_as_published, c.size_bytes
FROM fig_size_percentiles_as_published AS p
FULL JOIN fig_size_percentiles AS c USING (percentile)
ORDER BY percentile
