"""The house keeps its own rules: layout, sizes, direction of imports, stems, pins."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from pullstudy.query import list_views
from pullstudy.tables import TABLES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "scripts/pullstudy"
MODULES = sorted(PACKAGE.rglob("*.py"))
ADAPTERS = sorted((ROOT / "scripts").glob("*.py"))
QUERIES = sorted((ROOT / "workflow/sql").glob("*.sql"))
FIGURES = [adapter.stem for adapter in ADAPTERS if adapter.stem.startswith("fig_")]

# An import goes up this list, or stays in its folder.
SUBJECTS = [
    "errors",
    "files",
    "hashing",
    "code",
    "schemas",
    "tables",
    "naming",
    "dockerfiles",
    "registry",
    "archive",
    "corpus",
    "sample",
    "query",
    "text",
    "similarity",
    "bases",
    "craft",
    "pulls",
    "cost",
    "inspection",
    "claims",
    "figures",
    "provenance",
    "paper",
    "cli",
]


def subject_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_one_way(path: Path) -> None:
    own = subject_of(module_name(path))
    if own in ("", "__init__"):
        return
    for imported in imports_of(path):
        assert not imported.startswith("snakemake"), "only adapters know snakemake"
        if imported.startswith("pullstudy."):
            other = subject_of(imported)
            assert SUBJECTS.index(other) <= SUBJECTS.index(own), f"{own} imports {other}"


def test_drawing_does_no_input_or_output() -> None:
    for path in (PACKAGE / "figures").glob("*.py"):
        if path.stem == "output":
            continue
        assert not {"pathlib", "os", "pullstudy.files", "pullstudy.query"} & set(imports_of(path))


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_modules_and_functions_are_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 40, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", ADAPTERS, ids=lambda path: path.stem)
def test_adapters_do_nothing_themselves(path: Path) -> None:
    text = path.read_text()
    assert len([line for line in text.splitlines() if line.strip()]) <= 15
    assert not [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]


@pytest.mark.parametrize("stem", FIGURES)
def test_a_figure_has_rule_caption_and_query(stem: str) -> None:
    files = sorted((ROOT / "workflow/rules").glob("figures*.smk"))
    rules = "\n".join(path.read_text() for path in files)
    rule = re.search(rf'rule {stem}:\n(.*?)"../../scripts/{stem}\.py"', rules, re.DOTALL)
    assert rule, "no rule that runs it"
    assert '"""' in rule[1]
    assert (ROOT / f"workflow/report/{stem}.rst").read_text().strip()
    for query in re.findall(r'query_result\("(\w+)"\)', rule[1]):
        assert (ROOT / f"workflow/sql/{query}.sql").exists()


def test_a_rule_that_is_a_cluster_job_says_what_it_needs() -> None:
    text = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    jobs = [rule for rule in re.split(r"^rule ", text, flags=re.MULTILINE) if "runtime=" in rule]
    assert jobs
    for job in jobs:
        assert "mem_mb=memory_for(" in job, job
        assert "runtime=minutes_for(" in job, job


def test_every_caption_has_its_figure() -> None:
    assert sorted(p.stem for p in (ROOT / "workflow/report").glob("fig_*.rst")) == FIGURES


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_says_what_it_answers(path: Path) -> None:
    header = path.read_text().split("\n\n")[0]
    for word in ("-- Question:", "-- Grain:", "-- Definition:"):
        assert word in header
    known = {*TABLES, *(query.stem for query in QUERIES)}
    assert set(list_views(path)) <= known


def test_overlays_name_only_what_differs() -> None:
    defaults = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for overlay in (ROOT / "config").glob("*.yaml"):
        if overlay.name != "config.yaml":
            for key, value in yaml.safe_load(overlay.read_text()).items():
                assert key in defaults
                assert value != defaults[key], f"{overlay.name}: {key}"


def test_schema_and_defaults_name_the_same_keys() -> None:
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.json").read_text())
    defaults = yaml.safe_load((ROOT / "config/config.yaml").read_text())

    def keys_of_schema(node: dict[str, object]) -> dict[str, object]:
        properties = node.get("properties", {})
        assert isinstance(properties, dict)
        return {key: keys_of_schema(child) for key, child in properties.items()}

    def keys_of(node: object) -> dict[str, object]:
        return {k: keys_of(v) for k, v in node.items()} if isinstance(node, dict) else {}

    assert keys_of_schema(schema) == keys_of(defaults)


def test_every_key_is_documented() -> None:
    readme = (ROOT / "config/README.md").read_text()
    defaults = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    for key, value in defaults.items():
        names = [f"{key}.{child}" for child in value] if isinstance(value, dict) else [key]
        for name in names:
            assert f"`{name}`" in readme, name


def pins_in(lock: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock.read_text(), re.MULTILINE))


def test_locks_hold_every_dependency_with_hashes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    runtime = pins_in(ROOT / "scripts/requirements.lock")
    everything = pins_in(ROOT / "scripts/requirements-test.lock")
    assert runtime.items() <= everything.items()
    for names, pins in (
        (project["dependencies"], runtime),
        (project["optional-dependencies"]["test"], everything),
    ):
        for requirement in map(Requirement, names):
            assert requirement.specifier.contains(pins[requirement.name.lower()]), requirement
    for lock in (ROOT / "scripts").glob("*.lock"):
        text = lock.read_text()
        assert "://" not in text
        blocks = re.split(r"\n(?=\S)", text.strip())
        assert all("--hash=sha256:" in block for block in blocks)


def test_conda_users_get_the_same_versions() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(item["pip"] for item in environment["dependencies"] if isinstance(item, dict))
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", "\n".join(pip), re.MULTILINE))
    assert pins == pins_in(ROOT / "scripts/requirements.lock")
