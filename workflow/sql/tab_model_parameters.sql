-- Question:   What does a pull cost, and which part of it can the data not tell?
-- Grain:      one parameter of the model, of all runs or of one.
-- Definition: see the head of pullstudy.pulls.calibration; not identified: no value, and the reason.
-- Slide:      crafting and pulling
SELECT study, kind, parameter, run, value, standard_error, is_identified, reason
FROM model_parameters
ORDER BY study, kind, is_identified DESC, parameter, run NULLS FIRST
