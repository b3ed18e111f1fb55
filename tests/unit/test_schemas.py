from pathlib import Path
from typing import Any

import pytest

from pullstudy.errors import ConfigError
from pullstudy.schemas import check_document, read_yaml

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.json"


def sample_config() -> dict[str, Any]:
    config: dict[str, Any] = read_yaml(ROOT / "config/config.yaml")
    return config


def test_the_sample_config_is_valid() -> None:
    check_document(sample_config(), SCHEMA, "config")


@pytest.mark.parametrize(
    ("stage", "change", "message"),
    [
        (None, {"sead": 1}, "config: unknown key 'sead'; did you mean 'seed'?"),
        (None, {"seed": "x"}, "config: key 'seed': 'x' is not of type 'integer'"),
        ("corpus", {"source": "cloud"}, "key 'corpus.source': 'cloud' is not one of sample, "),
        ("bases", {"zzz": 1}, "unknown key 'bases.zzz'; known keys: source"),
    ],
)
def test_errors_name_the_key(stage: str | None, change: dict[str, Any], message: str) -> None:
    config = sample_config()
    if stage is None:
        config |= change
    else:
        config[stage] |= change
    with pytest.raises(ConfigError) as caught:
        check_document(config, SCHEMA, "config")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named() -> None:
    config = sample_config()
    del config["corpus"]["sample_size"]
    with pytest.raises(ConfigError, match=r"config: key 'corpus\.sample_size' is missing"):
        check_document(config, SCHEMA, "config")


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1,\nb: 2")
    with pytest.raises(ConfigError, match=r"broken\.yaml: not YAML.*line 2") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such file"):
        read_yaml(tmp_path / "absent.yaml")
