# Tables to query results: one SQL file each.

# Every tab_*.sql becomes a CSV file of the study as well.
TABLES = [
    f"{RESULTS}/tables/{sql.stem}.csv" for sql in sorted(Path(SQL).glob("tab_*.sql"))
]


rule run_query:
    """Rows of one SQL file over the study's tables."""
    input:
        tables=lambda wildcards: sum(views_of(wildcards.query).values(), []),
        sql=f"{SQL}/{{query}}.sql",
    output:
        rows=query_result("{query}"),
    log:
        log_of("run_query/{query}"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("run_query.py"),
        views=lambda wildcards: views_of(wildcards.query),
    script:
        "../../scripts/run_query.py"


rule run_table:
    """Rows of one SQL file named tab_*, as CSV too, for people and spreadsheets."""
    input:
        tables=lambda wildcards: sum(views_of(wildcards.table).values(), []),
        sql=f"{SQL}/{{table}}.sql",
    output:
        rows=query_result("{table}"),
        csv=report(
            f"{RESULTS}/tables/{{table}}.csv",
            caption="../report/table.rst",
            category="Tables",
            labels={"table": "{table}"},
        ),
    log:
        log_of("run_table/{table}"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("run_table.py"),
        views=lambda wildcards: views_of(wildcards.table),
    script:
        "../../scripts/run_table.py"
