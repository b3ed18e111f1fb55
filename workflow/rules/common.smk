# Config, paths and the digest of the code behind each rule.

import os
import shutil
import sys
import tarfile
import tempfile
import time
from pathlib import Path


def find_home(basedir) -> Path:
    """The folder with all files of the workflow; basedir: where the one stands that is read now."""
    if not hasattr(basedir, "hosted_repo"):
        return Path(basedir).resolve().parents[1]
    # Of a module on GitHub Snakemake fetches rules and scripts one by one; queries and the package
    # are read as files.
    repository = basedir.hosted_repo.repo
    commit = repository.commit(basedir.ref).hexsha
    home = Path(".snakemake/pullstudy", commit).resolve()
    if not home.exists():
        partial = home.with_name(f".{commit}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        with tempfile.TemporaryFile() as archive:
            repository.archive(archive, commit)
            archive.seek(0)
            with tarfile.open(fileobj=archive) as files:
                files.extractall(partial, filter="data")
        partial.replace(home)
    return home


# Where the workflow's own files are: here, or elsewhere for who uses it as a module. Results are
# always made here.
HOUSE = find_home(workflow.current_basedir)
# The package works uninstalled too, here and in the processes of jobs.
sys.path.insert(0, str(HOUSE / "scripts"))
os.environ.update(
    PYTHONPATH=os.pathsep.join(filter(None, [sys.path[0], os.getenv("PYTHONPATH")]))
)


def house(path: str) -> str:
    """Path of a file of the workflow; as it stands where the workflow is run at home."""
    return path if Path().resolve() == HOUSE else str(HOUSE / path)


def find_file(path: str) -> str:
    """Path of a file that the config names: the user's own, or one that the workflow brings."""
    return path if Path(path).exists() else house(path)


from pullstudy.code import digest_code
from pullstudy.errors import ConfigError, print_errors
from pullstudy.paper.report import describe_results
from pullstudy.query import list_views
from pullstudy.schemas import check_document

try:
    check_document(config, Path(house("workflow/schemas/config.schema.json")), "config")
except ConfigError as exc:
    sys.exit(f"pullstudy: {exc}")

STARTED = time.time()
# Those of Snakemake itself; where a cluster has the jobs it is told of none.
ALL_CORES = workflow.resource_settings.cores or os.cpu_count()
RESULTS = f"results/{config['study']}"
SQL = house("workflow/sql")

# Which tables each stage makes, whatever its source.
STAGES = {
    "corpus": ["dockerfiles", "instructions", "stages", "failures", "coverage"],
    "registry": [
        "tags",
        "images",
        "layers",
        "history",
        "subset",
        "failures",
        "coverage",
    ],
    "bases": ["bases", "failures", "coverage"],
    "strategies": ["container_sets", "container_images", "failures", "coverage"],
    "histograms": ["published_cosine", "failures", "coverage"],
    "comparisons": ["comparisons", "trends", "spreads"],
    "model": ["extrapolations", "model_parameters", "model_errors"],
    "cost": ["costs"],
}
# Pull runs of several sources stand beside each other.
PULL_TABLES = ["pulls", "pull_layers", "nodes", "jobs", "pull_images", "dropped"]
STAGES |= {
    f"pulls_{source}": [*PULL_TABLES, "coverage"]
    for source in config["pulls"]["sources"]
}
# Tables that are made from those of the stages: the files of each, filled in by their rules.
VIEWS: dict[str, list[str]] = {}
# What the study takes from a source of its choice.
SOURCES = [
    *(config[part]["source"] for part in ("corpus", "registry", "bases", "strategies")),
    *config["pulls"]["sources"],
]
# Part of the paper that each figure belongs to, by the figure's stem.
FIGURE_CATEGORIES: dict[str, str] = {}


wildcard_constraints:
    query="(?!tab_)[a-z0-9_]+",
    table="tab_[a-z0-9_]+",


def code_digest(script: str) -> str:
    """Digest the adapter `scripts/<script>` and the package modules that it runs on."""
    return digest_code(Path(house("scripts")) / script)


def stage_tables(stage: str, *names: str) -> dict[str, str]:
    """Paths of the tables of a stage, by name; of the given names only, when there are any."""
    return {
        name: f"{RESULTS}/tables/{stage}/{name}.parquet"
        for name in names or STAGES[stage]
    }


def log_of(job: str) -> str:
    """Where a job writes what it did and why it failed."""
    return f"{RESULTS}/logs/{job}.log"


def benchmark_of(job: str) -> str:
    """Where the time and memory of a job are written."""
    return f"{RESULTS}/benchmarks/{job}.tsv"


def query_result(query: str) -> str:
    """The rows of `workflow/sql/<query>.sql` in this study."""
    return f"{RESULTS}/queries/{query}.parquet"


def view_files(view: str) -> list[str]:
    """The files behind a view: a table, from every stage that makes it, or another query."""
    tables = [
        stage_tables(stage, view)[view] for stage in STAGES if view in STAGES[stage]
    ]
    return tables or VIEWS.get(view) or [query_result(view)]


def views_of(query: str) -> dict[str, list[str]]:
    """The files behind each view that a query reads, by the view's name."""
    return {view: view_files(view) for view in list_views(Path(f"{SQL}/{query}.sql"))}


def figure_files(stem: str, category: str) -> dict[str, str]:
    """A figure's PDF and PNG; the PNG stands in the report, the PDF in the paper."""
    FIGURE_CATEGORIES[stem] = category
    path = f"{RESULTS}/figures/{stem}"
    caption = f"../report/{stem}.rst"
    labels = {"figure": stem.removeprefix("fig_").replace("_", " ")}
    return {
        "pdf": f"{path}.pdf",
        "png": report(f"{path}.png", caption=caption, category=category, labels=labels),
    }


def number_shard(scatteritem: str) -> dict[str, int]:
    """Which shard of how many: `2-of-4` is shard 1 of 4, counted from 0."""
    number, shards = map(int, scatteritem.split("-of-"))
    return {"shard": number - 1, "shards": shards}


def memory_for(per_input: float):
    """Memory of a job in MB: so many times its input, and 1,200 for what runs; more on each retry."""
    # On a cluster Snakemake itself runs twice beside the step, in some 200 MB each time.
    return lambda wildcards, input, attempt: int(
        attempt * (1200 + per_input * input.size_mb)
    )


def minutes_for(per_gigabyte: float, power: int = 1):
    """Time limit of a job in minutes by the power of its input in GB; more on each retry."""
    return lambda wildcards, input, attempt: int(
        attempt * (10 + per_gigabyte * (input.size_mb / 1000) ** power)
    )
