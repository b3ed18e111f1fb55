-- Question:   How common is each practice of writing Dockerfiles?
-- Grain:      One practice in one collection; 'all' is the whole corpus, and a single repository
--             of generated files can be most of it: 'all but the largest repository' leaves it out.
-- Definition: In words beside each number; the rules are in practice_verdicts.sql.
-- Slide:      Best practices.
WITH definitions (practice, definition) AS (
    VALUES
    ('multi_stage', 'Dockerfiles with more than one FROM, of all Dockerfiles'),
    ('official_base', 'FROMs of an official image (docker.io/library), of all FROMs of a valid image name'),
    ('latest_tag', 'FROMs with the tag latest written, of all FROMs of a valid image name'),
    ('no_tag', 'FROMs with neither tag nor digest, of all FROMs of a valid image name'),
    ('digest_pinned', 'FROMs with a digest, of all FROMs of a valid image name'),
    ('apt_update_with_install', 'RUNs that call apt-get update beside apt-get install, of all RUNs with apt-get install'),
    ('apt_update_alone', 'RUNs with apt-get update but neither install nor upgrade, of all RUNs with apt-get update'),
    ('apt_clean', 'RUNs that remove the package lists (/var/lib/apt) or mount a cache there, of all RUNs with apt-get update'),
    ('apt_no_install_recommends', 'RUNs whose every apt-get install is told not to install recommended packages, of all RUNs with apt-get install'),
    ('apt_upgrade', 'RUNs with apt-get upgrade, of all RUNs with apt-get'),
    ('apk_no_cache', 'RUNs whose every apk add keeps no cache (--no-cache, removed or mounted), of all RUNs with apk add'),
    ('pip_no_cache_dir', 'RUNs whose every pip install keeps no cache (--no-cache-dir, PIP_NO_CACHE_DIR or mounted), of all RUNs with pip install'),
    ('download_piped_to_shell', 'RUNs that pipe curl or wget into a shell, of all RUNs with curl or wget'),
    ('pipe_without_pipefail', 'RUNs with a pipe in which only the last command can fail (no pipefail), of all RUNs with a pipe'),
    ('sudo', 'RUNs with sudo, of all RUNs'),
    ('cd_in_run', 'RUNs with cd, which WORKDIR could replace, of all RUNs'),
    ('relative_workdir', 'WORKDIRs with a relative path, of all WORKDIRs'),
    ('add_instead_of_copy', 'ADDs of a local file that is no archive, of all ADDs'),
    ('shell_form', 'CMDs and ENTRYPOINTs in shell form, of all CMDs and ENTRYPOINTs'),
    ('several_cmd', 'Dockerfiles with more than one CMD in a stage, of all Dockerfiles with a CMD'),
    ('several_entrypoint', 'Dockerfiles with more than one ENTRYPOINT in a stage, of all Dockerfiles with an ENTRYPOINT'),
    ('maintainer', 'Dockerfiles with the deprecated MAINTAINER, of all Dockerfiles with a FROM'),
    ('healthcheck', 'Dockerfiles whose last stage has a HEALTHCHECK, of all Dockerfiles with a FROM'),
    ('no_user', 'Dockerfiles whose last stage has no USER, so that the base image decides, of all Dockerfiles with a FROM'),
    ('root_user', 'Dockerfiles whose last stage ends as USER root, of all Dockerfiles with a FROM')
),

largest_repository AS (
    SELECT repository
    FROM dockerfiles
    GROUP BY repository
    ORDER BY count(*) DESC, repository
    LIMIT 1
),

counts AS (
    SELECT
        collection,
        repository IN (FROM largest_repository) AS is_largest,
        practice,
        sum(cases) AS cases,
        sum(occasions) AS occasions
    FROM practice_verdicts
    INNER JOIN dockerfiles USING (dockerfile_id)
    GROUP BY ALL
),

groups AS (
    SELECT collection::VARCHAR AS collection, practice, cases, occasions FROM counts
    UNION ALL
    SELECT 'all', practice, cases, occasions FROM counts
    UNION ALL
    SELECT 'all but the largest repository', practice, cases, occasions
    FROM counts
    WHERE NOT is_largest
)

SELECT
    collection,
    practice,
    sum(cases)::BIGINT AS numerator,
    sum(occasions)::BIGINT AS denominator,
    100.0 * sum(cases) / sum(occasions) AS percent,
    definition
FROM groups
INNER JOIN definitions USING (practice)
GROUP BY collection, practice, definition
ORDER BY collection, practice
