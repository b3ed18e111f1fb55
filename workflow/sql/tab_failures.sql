-- Question:   What was asked for and is not in the tables, and why?
-- Grain:      one stage and reason.
-- Definition: failures are counted per file, repository or tag; one example is shown.
SELECT stage, reason, count(*) AS failures, min(name) AS example
FROM failures
GROUP BY stage, reason
ORDER BY stage, failures DESC, reason
