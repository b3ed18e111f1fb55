-- Question:   How far is the model off where it was not calibrated?
-- Grain:      one run, one of its cluster sizes, or its larger half of the image sizes.
-- Definition: |predicted / measured - 1| over the pulls that calibration did not see.
-- Slide:      crafting and pulling
SELECT study, kind, held_out, run, level, pulls, median_error, p90_error, bias, calibrated_on
FROM model_errors
ORDER BY study, kind, held_out, run, try_cast(level AS BIGINT)
