"""Check YAML documents against their JSON schema, with errors that name the key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml
from jsonschema.exceptions import best_match

from pullstudy.errors import ConfigError


def read_yaml(path: Path) -> Any:
    """Read a YAML file. Raises ConfigError with line and column when it is none."""
    try:
        return yaml.safe_load(path.read_text())
    except FileNotFoundError as exc:
        raise ConfigError(f"{path}: no such file") from exc
    except yaml.YAMLError as exc:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(exc).split())}") from exc


def check_document(document: Any, schema: Path, name: str) -> None:
    """Check `document` against the JSON schema file; `name` says in errors what it is.

    Raises ConfigError: one line with the key, what is wrong with it and what is allowed.
    """
    validator = jsonschema.Draft202012Validator(json.loads(schema.read_text()))
    error = best_match(validator.iter_errors(document))
    if error is not None:
        raise ConfigError(f"{name}: {_explain(error)}")


def _explain(error: Any) -> str:
    key = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "additionalProperties":
        return _explain_unknown(error, key)
    if error.validator == "required":
        missing = next(k for k in error.validator_value if k not in error.instance)
        return f"key {_join(key, missing)!r} is missing"
    if error.validator == "enum":
        allowed = ", ".join(str(value) for value in error.validator_value)
        return f"key {key!r}: {error.instance!r} is not one of {allowed}"
    return f"key {key!r}: {error.message}"


def _explain_unknown(error: Any, key: str) -> str:
    known: Mapping[str, Any] = error.schema.get("properties", {})
    unknown = next(k for k in error.instance if k not in known)
    close = difflib.get_close_matches(str(unknown), known, n=1)
    advice = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(known))}"
    return f"unknown key {_join(key, unknown)!r}; {advice}"


def _join(key: str, child: object) -> str:
    return f"{key}.{child}" if key else str(child)
