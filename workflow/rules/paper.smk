# The verdict on every claim of the paper, and the paper itself.

from pullstudy.claims import queries_of, read_claims

CLAIMS_SCHEMA = house("workflow/schemas/claims.schema.json")
CLAIMS = find_file(config["claims"])
CLAIM_QUERIES = queries_of(read_claims(Path(CLAIMS), Path(CLAIMS_SCHEMA)))


rule claims:
    """What the paper states beside what comes out, with a verdict for each number."""
    input:
        claims=CLAIMS,
        schema=CLAIMS_SCHEMA,
        queries=[query_result(query) for query in CLAIM_QUERIES],
        coverage=query_result("tab_coverage"),
    output:
        csv=report(
            f"{RESULTS}/claims.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"table": "every number of the paper"},
        ),
    log:
        log_of("claims"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("judge_claims.py"),
        queries=CLAIM_QUERIES,
    script:
        "../../scripts/judge_claims.py"


PAPER_TEMPLATE = house("resources/paper/paper.typ")
# The record of the published archive, where a source of this study reads it.
ARCHIVE_RECORD = [ARCHIVE for source in SOURCES if source in ("archive", "replay")][:1]
TRACKED = [house("resources/cost.yaml"), CLAIMS]


rule paper:
    """The paper with every figure, table and number of this run, and what reproduces of them."""
    input:
        template=PAPER_TEMPLATE,
        claims=rules.claims.output.csv,
        coverage=query_result("tab_coverage"),
        figures=[figure for figure in FIGURES if figure.endswith(".pdf")],
        tables=[query_result(Path(table).stem) for table in TABLES],
        captions=[house(f"workflow/report/{stem}.rst") for stem in FIGURE_CATEGORIES],
        sql=[f"{SQL}/{Path(table).stem}.sql" for table in TABLES],
        archive=ARCHIVE_RECORD,
        tracked=TRACKED,
    output:
        pdf=report(
            f"{RESULTS}/paper.pdf",
            caption="../report/paper.rst",
            category="Paper",
            labels={"what": "the whole paper"},
        ),
    log:
        log_of("paper"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("write_paper.py"),
        config=config,
        found=lambda wildcards, input: [
            {Path(figure).stem: figure for figure in input.figures},
            {Path(table).stem: table for table in input.tables},
            FIGURE_CATEGORIES,
            SQL,
            house("workflow/report"),
        ],
    script:
        "../../scripts/write_paper.py"


rule provenance:
    """Inputs, config, code, versions, and when each rule began and ended."""
    input:
        paper=rules.paper.output.pdf,
        archive=ARCHIVE_RECORD,
        tracked=TRACKED,
    output:
        record=f"{RESULTS}/provenance.json",
    log:
        log_of("provenance"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        code=code_digest("write_provenance.py"),
    script:
        "../../scripts/write_provenance.py"


rule report_page:
    """All figures and tables on one page, for browsers, also offline."""
    input:
        record=rules.provenance.output.record,
        captions=[
            house(f"workflow/report/{stem}.rst")
            for stem in ("claims", "paper", "table")
        ],
    output:
        page=f"{RESULTS}/report.html",
    log:
        log_of("report_page"),
    localrule: True
    conda:
        "../../environment.yml"
    params:
        code=code_digest("write_report.py"),
        snakefile=workflow.main_snakefile,
        # Those of the command line; what the study's own files say is read again.
        overrides=workflow.config_settings.overwrite_config,
    script:
        "../../scripts/write_report.py"
