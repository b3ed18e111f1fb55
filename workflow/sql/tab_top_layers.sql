-- Question:   Which layers are repeated most, and what made them?
-- Grain:      one of the twenty most frequent digests.
-- Definition: instruction is the one that most often stands at the layer's place in the history of
--             the images that hold it, command its most frequent text, share how often it is so.
-- Slide:      26
WITH top_layers AS (
    SELECT *
    FROM layer_repetition
    ORDER BY appearances DESC, digest
    LIMIT 20
),
commands AS (
    SELECT
        l.digest,
        h.created_by AS command,
        -- The classic builder writes `/bin/sh -c #(nop) WORKDIR /x`, BuildKit `WORKDIR /x`.
        coalesce(
            nullif(regexp_extract(h.created_by, '^(?:/bin/sh -c #\(nop\)\s+)?([A-Z]+) ', 1), ''),
            'RUN'
        ) AS instruction,
        count(*) AS times
    FROM layers AS l
    SEMI JOIN top_layers USING (digest)
    JOIN history AS h USING (image_id, layer_number)
    WHERE h.created_by IS NOT NULL
    GROUP BY ALL
),
instructions_of_layer AS (
    SELECT digest, instruction, sum(times) AS times, arg_max(command, (times, command)) AS command
    FROM commands
    GROUP BY digest, instruction
),
likeliest AS (
    SELECT *, times / sum(times) OVER (PARTITION BY digest) AS share
    FROM instructions_of_layer
    QUALIFY row_number() OVER (PARTITION BY digest ORDER BY times DESC, instruction) = 1
)
SELECT
    t.digest,
    t.size_bytes,
    t.appearances,
    t.images,
    t.repositories,
    k.instruction,
    round(k.share, 4) AS instruction_share,
    k.command
FROM top_layers AS t
LEFT JOIN likeliest AS k USING (digest)
ORDER BY t.appearances DESC, t.digest
