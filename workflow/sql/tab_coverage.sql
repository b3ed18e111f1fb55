-- Question:   What is missing from the data?
-- Grain:      one part of the data.
-- Definition: expected is what the source itself says there is.
SELECT part, expected, present, detail
FROM coverage
ORDER BY part
