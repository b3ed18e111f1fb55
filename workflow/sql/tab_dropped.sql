-- Question:   What did the logs hold that is not in the tables, and why?
-- Grain:      one cause.
-- Definition: files, lines, events, nodes and pods that no row stands for; see `dropped`.
-- Slide:      crafting and pulling
SELECT
    study,
    what,
    reason,
    sum(count) AS count,
    count(DISTINCT path) AS files,
    arg_max(detail, count) AS most_frequent
FROM dropped
GROUP BY study, what, reason
ORDER BY study, what, count DESC, reason
