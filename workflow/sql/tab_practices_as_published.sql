-- Question:   What did the paper count for its four numbers on Dockerfile practices?
-- Grain:      One practice in one collection; 'all' is the whole corpus.
-- Definition: All are shares of all Dockerfiles, read as text. multi_stage is the paper's own count:
--             more than one line holds the letters FROM (1,983 of 77,449, published 2.56 %). The
--             other three counts are not documented; one common reading comes closest to all three:
--             the second word of the first line that starts with "FROM " (14.76, 5.26 and 0.089 %;
--             published 14.77, 5.3 and 0.09 %). So a missing tag counts as latest, and only the
--             first base of a file is looked at. tab_practices.sql has the counts of a parser.
-- Slide:      Best practices: 2.56 % multi-stage, 14.77 % official, 5.3 % latest, 0.09 % pinned.
WITH files AS (
    SELECT
        collection::VARCHAR AS collection,
        list_filter(
            string_split(content, chr(10)), lambda line: contains(line, 'FROM')
        ) AS from_lines
    FROM dockerfiles
),

first_bases AS (
    SELECT
        collection,
        len(from_lines) AS from_line_count,
        regexp_split_to_array(
            trim(list_filter(from_lines, lambda line: starts_with(line, 'FROM '))[1]), '\s+'
        )[2] AS base
    FROM files
),

counts AS (
    SELECT
        coalesce(collection, 'all') AS collection,
        count(*) AS denominator,
        count_if(from_line_count > 1) AS multi_stage,
        count_if(NOT contains(base, '/')) AS official_base,
        count_if(NOT contains(base, ':') OR ends_with(base, ':latest')) AS latest_tag,
        count_if(contains(base, 'sha256')) AS digest_pinned
    FROM first_bases
    GROUP BY GROUPING SETS ((), (collection))
),

practices AS (
    SELECT collection, denominator, practice.*
    FROM counts,
    LATERAL (
        VALUES
        (
            'multi_stage', multi_stage,
            'Dockerfiles with more than one line that holds the letters FROM, of all Dockerfiles'
        ),
        (
            'official_base', official_base,
            'Dockerfiles whose first FROM line names a base without a slash, of all Dockerfiles'
        ),
        (
            'latest_tag', latest_tag,
            'Dockerfiles whose first FROM line names a base without a colon or with the tag latest, of all Dockerfiles'
        ),
        (
            'digest_pinned', digest_pinned,
            'Dockerfiles whose first FROM line names a base with a sha256, of all Dockerfiles'
        )
    ) AS practice (practice, numerator, definition)
)

SELECT
    collection,
    practice,
    numerator::BIGINT AS numerator,
    denominator::BIGINT AS denominator,
    100.0 * numerator / denominator AS percent,
    definition
FROM practices
WHERE denominator > 0
ORDER BY collection, practice
