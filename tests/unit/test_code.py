import subprocess
import sys
from pathlib import Path

import pytest

from pullstudy.code import PACKAGE, find_imported

SCRIPTS = PACKAGE.parent


def loaded_by(script: Path) -> set[Path]:
    """Ask a fresh interpreter which files of the package the script's imports load."""
    imports = [
        line for line in script.read_text().splitlines() if line.startswith(("from ", "import "))
    ]
    program = "\n".join(
        [
            *imports,
            "import sys",
            "loaded = [m for name, m in sys.modules.items() if name.split('.')[0] == 'pullstudy']",
            "print('\\n'.join(m.__file__ for m in loaded))",
        ]
    )
    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=SCRIPTS
    ).stdout
    return {Path(line) for line in output.split()}


@pytest.mark.parametrize("name", ["run_query.py", "judge_claims.py", "corpus_from_sample.py"])
def test_the_imports_found_are_those_that_python_loads(name: str) -> None:
    script = SCRIPTS / name
    assert loaded_by(script) == find_imported(script)
