-- Question:   What did the paper count for apt-get in the history of images?
-- Grain:      One practice over all history lines of all images.
-- Definition: Every history line with a command counts, however often it is repeated, in lower case,
--             and letters count wherever they stand: "adapt" and "target" are apt and get, "platform"
--             is rm. The published 67.8 % leaves out lines with autoremove, which are counted
--             apart (11.2 %), and has another base (lines with apt) than the 94.3 % (apt and get).
-- Slide:      Best practices: 507,695 layers use apt-get, 94.3 % install in the same line, 67.8 %
--             clean up.
WITH lines AS (
    SELECT lower(created_by) AS line, count(*) AS repeats
    FROM history
    WHERE created_by IS NOT NULL
    GROUP BY created_by
),

flags AS (
    SELECT
        repeats,
        contains(line, 'apt') AS has_apt,
        contains(line, 'apt') AND contains(line, 'get') AS has_apt_get,
        contains(line, 'install') AS has_install,
        contains(line, 'rm') OR contains(line, 'clean') AS has_clean,
        contains(line, 'autoremove') AS has_autoremove
    FROM lines
),

counts AS (
    SELECT
        sum(repeats) AS lines,
        sum(repeats) FILTER (has_apt) AS apt,
        sum(repeats) FILTER (has_apt_get) AS apt_get,
        sum(repeats) FILTER (has_apt_get AND has_install) AS installed,
        sum(repeats) FILTER (has_apt AND has_clean AND NOT has_autoremove) AS cleaned,
        sum(repeats) FILTER (has_apt AND has_clean AND has_autoremove) AS cleaned_autoremoved,
        sum(repeats) FILTER (has_apt AND has_autoremove AND NOT has_clean) AS autoremoved
    FROM flags
),

practices AS (
    SELECT practice.*
    FROM counts,
    LATERAL (
        VALUES
        (
            'apt_get', apt_get, lines,
            'history lines that hold apt and get, of all history lines with a command'
        ),
        (
            'apt_get_with_install', installed, apt_get,
            'history lines that also hold install, of all that hold apt and get'
        ),
        (
            'apt_clean', cleaned, apt,
            'history lines that also hold rm or clean but not autoremove, of all that hold apt'
        ),
        (
            'apt_clean_and_autoremove', cleaned_autoremoved, apt,
            'history lines that also hold rm or clean, and autoremove, of all that hold apt'
        ),
        (
            'apt_autoremove', autoremoved, apt,
            'history lines that also hold autoremove but neither rm nor clean, of all that hold apt'
        )
    ) AS practice (practice, numerator, denominator, definition)
)

SELECT
    practice,
    coalesce(numerator, 0)::BIGINT AS numerator,
    denominator::BIGINT AS denominator,
    100.0 * coalesce(numerator, 0) / denominator AS percent,
    definition
FROM practices
WHERE denominator > 0
ORDER BY practice
