# The verdict on every claim of the paper.

from pullstudy.claims import queries_of, read_claims

CLAIMS_SCHEMA = "workflow/schemas/claims.schema.json"
CLAIM_QUERIES = queries_of(read_claims(Path(config["claims"]), Path(CLAIMS_SCHEMA)))


rule claims:
    """What the paper states beside what comes out, with a verdict for each number."""
    input:
        claims=config["claims"],
        schema=CLAIMS_SCHEMA,
        queries=[query_result(query) for query in CLAIM_QUERIES],
        coverage=query_result("tab_coverage"),
    output:
        csv=f"{RESULTS}/claims.csv",
    log:
        log_of("claims"),
    conda:
        "../../environment.yml"
    params:
        code=code_digest("judge_claims.py"),
        queries=CLAIM_QUERIES,
    script:
        "../../scripts/judge_claims.py"
