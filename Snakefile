"""Rebuild the study: `snakemake --cores N`; one figure: `snakemake --cores N fig_<stem>`."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/archive.smk"
include: f"workflow/rules/corpus_{config['corpus']['source']}.smk"
include: f"workflow/rules/registry_{config['registry']['source']}.smk"
include: f"workflow/rules/bases_{config['bases']['source']}.smk"
include: f"workflow/rules/strategies_{config['strategies']['source']}.smk"
include: "workflow/rules/similarity.smk"
include: "workflow/rules/queries.smk"
include: "workflow/rules/craft.smk"
include: f"workflow/rules/craft_{config['craft']['output']}.smk"


for source in config["pulls"]["sources"]:

    include: f"workflow/rules/pulls_{source}.smk"


include: "workflow/rules/pulls.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/figures_pulls.smk"
include: "workflow/rules/figures_machine.smk"
include: "workflow/rules/figures_cost.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/paper.smk"


rule all:
    """The whole study: every figure and table, the verdict on every claim, and the paper."""
    default_target: True
    input:
        # What lies between is named too: else a run that was killed while it made a table anew
        # would leave what was computed from the old one.
        stages=[path for stage in STAGES for path in stage_tables(stage).values()],
        views=[file for files in VIEWS.values() for file in files],
        embeddings=EMBEDDINGS,
        queries=[query_result(sql.stem) for sql in sorted(Path(SQL).glob("*.sql"))],
        tables=TABLES,
        figures=FIGURES,
        claims=f"{RESULTS}/claims.csv",
        paper=f"{RESULTS}/paper.pdf",
        provenance=f"{RESULTS}/provenance.json",
        report=f"{RESULTS}/report.html",
    # Else Snakemake names all of these files.
    message:
        f"all of the study {config['study']!r}"


# Who asks for time is heavy, and goes to the cluster where there is one. All others stay beside
# Snakemake: a queue would cost more than they do, and what downloads needs a way out.
workflow.localrules(
    *(rule.name for rule in workflow.rules if "runtime" not in rule.resources)
)


onsuccess:
    for line in describe_results(Path(RESULTS), STARTED):
        print(line, file=sys.stderr)


onerror:
    # The last lines on the screen say what to do; Snakemake's own stand above.
    print_errors(Path(RESULTS, "logs"), STARTED)
