-- Question:   Which practices does a Dockerfile follow, and which does it break?
-- Grain:      One Dockerfile and one practice that it has an occasion for.
-- Definition: `occasions` counts what could follow the practice or break it (FROMs, RUNs, the file
--             itself), `cases` what the practice is named after; `tab_practices.sql` says both in
--             words. `is_violated`: some occasion goes against the advice of Docker's "Building
--             best practices" (docs.docker.com/build/building/best-practices).
--             Commands are read from RUN instructions: quoted text and comments are taken out, the
--             rest is cut at ; & | ( ) { } ` and line ends, and words before the program (if, env,
--             sudo, X=y) are skipped. ONBUILD is left out: it acts in another image.
-- Slide:      Best practices.
WITH runs AS (
    SELECT
        dockerfile_id,
        stage_number,
        instruction_number,
        CASE WHEN is_json THEN array_to_string(arguments, ' ') ELSE value END AS text,
        array_to_string(flags, ' ') AS flags
    FROM instructions
    WHERE keyword = 'RUN'
),

-- Many Dockerfiles share a RUN: each text is read once.
texts AS (
    SELECT text, regexp_replace(
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
    FROM (SELECT DISTINCT text FROM runs)
),

commands AS (
    SELECT text, regexp_replace(
        trim(piece, e' \t'),
        '^(?:(?:if|then|elif|else|while|until|do|!|time|exec|command|env|\w+=\S*'
        || '|(?:\S*/)?(?:ba|da|a|z|k)?sh\s+-\w*c)\s+)+',
        ''
    ) AS command
    FROM (
        SELECT text, unnest(regexp_split_to_array(
            -- What looks like a separator but is none: ${x}, 2>&1, &>file.
            regexp_replace(code, '\$\{[^}]*\}|[0-9]*>&[0-9-]|&>', '$', 'g'),
            '[;&|(){}`\n]+'
        )) AS piece
        FROM texts
    )
),

programs AS (
    SELECT
        text,
        starts_with(command, 'sudo ') AS is_sudo,
        regexp_replace(
            command, '^(?:sudo(?:\s+(?:-[ugp]\s+\S+|-\S+|\w+=\S*))*\s+)?(?:[^\s=]*/)?', ''
        ) AS program
    FROM commands
),

calls AS (
    SELECT
        *,
        regexp_matches(program, '^cd(\s|$)') AS is_cd,
        regexp_matches(program, '^(curl|wget)\s') AS is_download,
        regexp_matches(program, '^apt(-get)?\s(.*\s)?update(\s|>|$)') AS is_apt_update,
        regexp_matches(program, '^apt(-get)?\s(.*\s)?install(\s|$)') AS is_apt_install,
        regexp_matches(program, '^apt(-get)?\s(.*\s)?(dist-|full-)?upgrade(\s|>|$)')
            AS is_apt_upgrade,
        regexp_matches(program, '^apk\s(.*\s)?add(\s|$)') AS is_apk_add,
        regexp_matches(
            program, '^(python\S*\s(.*\s)?-m\s+)?pip[0-9.]*\s(.*\s)?install(\s|$)'
        ) AS is_pip_install
    FROM programs
),

-- A plain call is one without the option that keeps the layer small.
calls_of_text AS (
    SELECT
        text,
        bool_or(is_sudo) AS has_sudo,
        bool_or(is_cd) AS has_cd,
        bool_or(is_download) AS has_download,
        bool_or(is_apt_update) AS has_apt_update,
        bool_or(is_apt_upgrade) AS has_apt_upgrade,
        bool_or(is_apt_install) AS has_apt_install,
        bool_or(is_apt_install AND NOT contains(program, '--no-install-recommends'))
            AS has_plain_apt_install,
        bool_or(is_apk_add) AS has_apk_add,
        bool_or(is_apk_add AND NOT contains(program, '--no-cache')) AS has_plain_apk_add,
        bool_or(is_pip_install) AS has_pip_install,
        bool_or(is_pip_install AND NOT contains(program, '--no-cache-dir'))
            AS has_plain_pip_install
    FROM calls
    GROUP BY text
),

facts_of_text AS (
    SELECT
        calls_of_text.*,
        NOT has_plain_apt_install
        OR regexp_matches(text, 'APT::Install-Recommends\W*(false|0|no)') AS skips_recommended,
        NOT has_plain_apk_add
        OR regexp_matches(text, '\brm\s[^;&|]*/var/cache/apk') AS skips_apk_cache,
        NOT has_plain_pip_install
        OR contains(text, 'PIP_NO_CACHE_DIR=') AS skips_pip_cache,
        regexp_matches(text, '\b(rm|find)\s[^;&|]*/var/lib/(apt|\{[^}]*\bapt)') AS removes_lists,
        -- A | between the patterns of a case is no pipe.
        regexp_matches(
            regexp_replace(code, '(\bin\s|;;)\s*\(?[^\s()|]+(\s*\|\s*[^\s()|]+)*\s*\)', '\1', 'g'),
            '[^|>]\|&?[^|]'
        ) AS has_pipe,
        regexp_matches(code, '\b(set|bash|zsh|ash)\s+-[^;&|]*pipefail') AS has_pipefail,
        regexp_matches(
            code,
            '\b(curl|wget)\s[^;&|]*\|\s*(sudo\s+(-\S+\s+)*)?(\S*/)?(ba|da|a|z|k)?sh(\s|$)'
        ) AS has_download_to_shell
    FROM calls_of_text
    INNER JOIN texts USING (text)
),

shells AS (
    SELECT
        dockerfile_id,
        stage_number,
        instruction_number,
        contains(value, 'pipefail') AS is_pipefail,
        regexp_matches(value, '(?i)powershell|pwsh|cmd') AS is_windows
    FROM instructions
    WHERE keyword = 'SHELL'
),

-- Whatever its value, even "off", the variable turns the cache off (pip, cli/cmdoptions.py).
pip_variables AS (
    SELECT DISTINCT dockerfile_id
    FROM instructions
    WHERE keyword IN ('ENV', 'ARG') AND contains(value, 'PIP_NO_CACHE_DIR')
),

run_counts AS (
    SELECT
        dockerfile_id,
        count(*) AS runs,
        count_if(has_sudo) AS sudo,
        count_if(has_cd) AS cd,
        count_if(has_apt_update OR has_apt_install OR has_apt_upgrade) AS apt_uses,
        count_if(has_apt_upgrade) AS apt_upgrades,
        count_if(has_apt_install) AS apt_installs,
        count_if(has_apt_install AND has_apt_update) AS updated_apt_installs,
        count_if(has_apt_install AND skips_recommended) AS bare_apt_installs,
        count_if(has_apt_update) AS apt_updates,
        count_if(has_apt_update AND NOT has_apt_install AND NOT has_apt_upgrade)
            AS lone_apt_updates,
        count_if(
            has_apt_update
            AND (removes_lists OR regexp_matches(flags, 'type=(cache|tmpfs)\S*/var/lib/apt'))
        ) AS cleaned_apt_updates,
        count_if(has_apk_add) AS apk_adds,
        count_if(has_apk_add AND (skips_apk_cache OR contains(flags, '/var/cache/apk')))
            AS bare_apk_adds,
        count_if(has_pip_install) AS pip_installs,
        count_if(
            has_pip_install
            AND (
                skips_pip_cache
                OR pip_variables.dockerfile_id IS NOT NULL
                OR regexp_matches(flags, 'type=cache\S*(\.cache|pip)')
            )
        ) AS bare_pip_installs,
        count_if(has_download) AS downloads,
        count_if(has_download AND has_download_to_shell) AS downloads_to_shell,
        count_if(has_pipe AND NOT coalesce(is_windows, false)) AS pipes,
        count_if(
            has_pipe AND NOT coalesce(is_windows OR is_pipefail, false) AND NOT has_pipefail
        ) AS unsafe_pipes
    FROM runs
    INNER JOIN facts_of_text USING (text)
    LEFT JOIN pip_variables USING (dockerfile_id)
    ASOF LEFT JOIN shells
        ON runs.dockerfile_id = shells.dockerfile_id
        AND runs.stage_number = shells.stage_number
        AND runs.instruction_number > shells.instruction_number
    GROUP BY dockerfile_id
),

-- What names an image by a valid name, once the defaults of ARGs are filled in.
base_counts AS (
    SELECT
        dockerfile_id,
        count(*) AS bases,
        count_if(registry = 'docker.io' AND starts_with(repository, 'library/')) AS official,
        count_if(tag = 'latest') AS latest,
        count_if(tag IS NULL AND digest IS NULL) AS untagged,
        count_if(digest IS NOT NULL) AS pinned
    FROM stages
    WHERE registry IS NOT NULL
    GROUP BY dockerfile_id
),

other_instructions AS (
    SELECT
        dockerfile_id,
        stage_number,
        instruction_number,
        keyword,
        keyword IN ('CMD', 'ENTRYPOINT') AND value <> '' AS is_start,
        keyword IN ('CMD', 'ENTRYPOINT') AND value <> '' AND NOT is_json AS is_shell_start,
        keyword = 'HEALTHCHECK' AND upper(value) <> 'NONE' AS is_healthcheck,
        keyword = 'WORKDIR' AND value <> '' AS is_workdir,
        -- Absolute: /x, \x, C:\x; a variable may be either.
        keyword = 'WORKDIR'
        AND value <> ''
        AND NOT regexp_matches(value, '^["'']?([/\\$%]|[A-Za-z]:)') AS is_relative_workdir,
        -- A here-document has no source file.
        keyword = 'ADD' AND NOT contains(value, '<<') AS is_add,
        keyword = 'ADD'
        AND NOT contains(value, '<<')
        AND len(list_filter(
            arguments[:-2],
            -- Neither a URL, nor an archive to unpack, nor a variable that may hold one.
            lambda source: NOT regexp_matches(
                source,
                '^["'']?(\$|(https?|ftp|git|ssh)://|git@)'
                || '|\.(tar|Z|bz2|gz|lz|lzma|xz|zst|tZ|tb2|tbz2?|tgz|tlz|tpz|txz)["'']?$'
            )
        )) > 0 AS is_local_add,
        CASE WHEN keyword = 'USER' THEN trim(value, '"''') END AS username
    FROM instructions
    WHERE keyword IN
        ('CMD', 'ENTRYPOINT', 'MAINTAINER', 'HEALTHCHECK', 'WORKDIR', 'ADD', 'USER')
),

stage_counts AS (
    SELECT
        dockerfile_id,
        stage_number,
        count_if(keyword = 'CMD') AS cmds,
        count_if(keyword = 'ENTRYPOINT') AS entrypoints,
        count_if(keyword = 'MAINTAINER') AS maintainers,
        count_if(is_start) AS starts,
        count_if(is_shell_start) AS shell_starts,
        count_if(is_healthcheck) AS healthchecks,
        count_if(is_workdir) AS workdirs,
        count_if(is_relative_workdir) AS relative_workdirs,
        count_if(is_add) AS adds,
        count_if(is_local_add) AS local_adds,
        arg_max(username, instruction_number) AS last_user
    FROM other_instructions
    GROUP BY dockerfile_id, stage_number
),

file_counts AS (
    SELECT
        dockerfile_id,
        max(cmds) AS cmds,
        max(entrypoints) AS entrypoints,
        sum(maintainers) AS maintainers,
        sum(starts) AS starts,
        sum(shell_starts) AS shell_starts,
        sum(workdirs) AS workdirs,
        sum(relative_workdirs) AS relative_workdirs,
        sum(adds) AS adds,
        sum(local_adds) AS local_adds
    FROM stage_counts
    GROUP BY dockerfile_id
),

stages_of_file AS (
    SELECT dockerfile_id, count(*) AS stages, max(stage_number) AS stage_number
    FROM stages
    GROUP BY dockerfile_id
),

last_stages AS (
    SELECT
        dockerfile_id,
        coalesce(healthchecks, 0) > 0 AS has_healthcheck,
        last_user IS NULL AS has_no_user,
        coalesce(regexp_matches(last_user, '^(root|0)(:|$)'), false) AS is_root
    FROM stages_of_file
    LEFT JOIN stage_counts USING (dockerfile_id, stage_number)
),

-- practice, whether it is wanted, occasions, cases
file_practices AS (
    SELECT dockerfile_id, practice.*
    FROM dockerfiles
    LEFT JOIN stages_of_file USING (dockerfile_id)
    LEFT JOIN last_stages USING (dockerfile_id)
    LEFT JOIN file_counts USING (dockerfile_id),
    LATERAL (
        VALUES
        ('multi_stage', true, 1, (stages > 1)::INT),
        ('healthcheck', true, (stages > 0)::INT, has_healthcheck::INT),
        ('no_user', false, (stages > 0)::INT, has_no_user::INT),
        ('root_user', false, (stages > 0)::INT, is_root::INT),
        ('maintainer', false, (stages > 0)::INT, (maintainers > 0)::INT),
        ('several_cmd', false, (cmds > 0)::INT, (cmds > 1)::INT),
        ('several_entrypoint', false, (entrypoints > 0)::INT, (entrypoints > 1)::INT),
        ('shell_form', false, starts, shell_starts),
        ('relative_workdir', false, workdirs, relative_workdirs),
        ('add_instead_of_copy', false, adds, local_adds)
    ) AS practice (practice, is_wanted, occasions, cases)
),

base_practices AS (
    SELECT dockerfile_id, practice.*
    FROM base_counts,
    LATERAL (
        VALUES
        ('official_base', true, bases, official),
        ('latest_tag', false, bases, latest),
        ('no_tag', false, bases, untagged),
        ('digest_pinned', true, bases, pinned)
    ) AS practice (practice, is_wanted, occasions, cases)
),

run_practices AS (
    SELECT dockerfile_id, practice.*
    FROM run_counts,
    LATERAL (
        VALUES
        ('sudo', false, runs, sudo),
        ('cd_in_run', false, runs, cd),
        ('apt_update_with_install', true, apt_installs, updated_apt_installs),
        ('apt_update_alone', false, apt_updates, lone_apt_updates),
        ('apt_clean', true, apt_updates, cleaned_apt_updates),
        ('apt_no_install_recommends', true, apt_installs, bare_apt_installs),
        ('apt_upgrade', false, apt_uses, apt_upgrades),
        ('apk_no_cache', true, apk_adds, bare_apk_adds),
        ('pip_no_cache_dir', true, pip_installs, bare_pip_installs),
        ('download_piped_to_shell', false, downloads, downloads_to_shell),
        ('pipe_without_pipefail', false, pipes, unsafe_pipes)
    ) AS practice (practice, is_wanted, occasions, cases)
)

SELECT
    dockerfile_id,
    practice,
    occasions::INTEGER AS occasions,
    coalesce(cases, 0)::INTEGER AS cases,
    CASE WHEN is_wanted THEN coalesce(cases, 0) < occasions ELSE coalesce(cases, 0) > 0 END
        AS is_violated
FROM (FROM file_practices UNION ALL FROM base_practices UNION ALL FROM run_practices)
WHERE occasions > 0
ORDER BY dockerfile_id, practice
