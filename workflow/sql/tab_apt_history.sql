-- Question:   How do the layers of published images use apt-get?
-- Grain:      One practice over all different history lines that made a layer.
-- Definition: A command that many images share counts once. What stands before the command (the
--             shell, build arguments, BuildKit's RUN) is taken off, then commands are read as in
--             practice_verdicts.sql. Cache mounts leave no trace in the history.
-- Slide:      Best practices: apt-get.
WITH lines AS (
    SELECT DISTINCT created_by AS line
    FROM history
    WHERE NOT is_empty_layer AND contains(created_by, 'apt')
),

texts AS (
    SELECT line, regexp_replace(
        line, '(?s)^(RUN )?(\|[0-9]+ .*?)?(\S*/)?(ba|da|a)?sh( -\S+| \w+)*? -\w*c ', ''
    ) AS text
    FROM lines
),

codes AS (
    SELECT line, regexp_replace(
        regexp_replace(
            -- Escaped characters and quoted "$(commands)" stay, other quoted text goes.
            regexp_replace(
                text,
                '(\\.|"(?:\\.|[^"\\])*?(?:\$\(|`)(?:\\.|[^"\\])*")|"(?:\\.|[^"\\])*"|''[^'']*''',
                '\1',
                'g'
            ),
            '(\\.)|''[^'']*''', '\1', 'g'
        ),
        '(^|\s)#[^\n]*', '\1', 'g'
    ) AS code
    FROM texts
),

commands AS (
    SELECT line, regexp_replace(
        trim(piece, e' \t'),
        '^(?:(?:if|then|elif|else|while|until|do|!|time|exec|command|env|\w+=\S*'
        || '|sudo(?:\s+-\S+)*|(?:\S*/)?(?:ba|da|a|z|k)?sh\s+-\w*c)\s+)*(?:[^\s=]*/)?',
        ''
    ) AS command
    FROM (
        SELECT line, unnest(regexp_split_to_array(
            -- What looks like a separator but is none: ${x}, 2>&1, &>file.
            regexp_replace(code, '\$\{[^}]*\}|[0-9]*>&[0-9-]|&>', '$', 'g'),
            '[;&|(){}`\n]+'
        )) AS piece
        FROM codes
    )
),

calls AS (
    SELECT
        line,
        regexp_matches(command, '^apt(-get)?\s(.*\s)?update(\s|>|$)') AS is_update,
        regexp_matches(command, '^apt(-get)?\s(.*\s)?install(\s|$)') AS is_install,
        contains(command, '--no-install-recommends') AS is_told_no_recommends,
        regexp_matches(command, '^apt(-get)?\s(.*\s)?(auto)?clean(\s|>|$)') AS is_clean
    FROM commands
),

facts AS (
    SELECT
        line,
        bool_or(is_update) AS has_update,
        bool_or(is_install) AS has_install,
        bool_or(is_clean) AS has_clean,
        NOT bool_or(is_install AND NOT is_told_no_recommends)
        OR regexp_matches(line, 'APT::Install-Recommends\W*(false|0|no)') AS skips_recommended,
        regexp_matches(line, '\b(rm|find)\s[^;&|]*/var/lib/(apt|\{[^}]*\bapt)') AS removes_lists
    FROM calls
    GROUP BY line
),

counts AS (
    SELECT
        count_if(has_install) AS installs,
        count_if(has_install AND has_update) AS updated_installs,
        count_if(has_install AND skips_recommended) AS bare_installs,
        count_if(has_install AND has_clean) AS archive_cleaned_installs,
        count_if(has_update) AS updates,
        count_if(has_update AND removes_lists) AS cleaned_updates
    FROM facts
),

practices AS (
    SELECT practice.*
    FROM counts,
    LATERAL (
        VALUES
        (
            'apt_update_with_install', updated_installs, installs,
            'different layers that call apt-get update beside apt-get install, of all with apt-get install'
        ),
        (
            'apt_clean', cleaned_updates, updates,
            'different layers that remove the package lists (/var/lib/apt), of all with apt-get update'
        ),
        (
            'apt_clean_archives', archive_cleaned_installs, installs,
            'different layers that call apt-get clean, which official Debian and Ubuntu images do by themselves, of all with apt-get install'
        ),
        (
            'apt_no_install_recommends', bare_installs, installs,
            'different layers whose every apt-get install is told not to install recommended packages, of all with apt-get install'
        )
    ) AS practice (practice, numerator, denominator, definition)
)

SELECT
    practice,
    numerator::BIGINT AS numerator,
    denominator::BIGINT AS denominator,
    100.0 * numerator / denominator AS percent,
    definition
FROM practices
WHERE denominator > 0
ORDER BY practice
