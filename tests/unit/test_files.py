from pathlib import Path

import pytest

from pullstudy.files import replace_atomically


def test_a_file_appears_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "result.csv"
    with replace_atomically(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        partial.write_text("whole")
    assert [p.name for p in path.parent.iterdir()] == ["result.csv"]
    assert path.read_text() == "whole"


def test_after_an_error_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "result.csv"
    path.write_text("old")

    def write_half() -> None:
        with replace_atomically(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert [p.name for p in tmp_path.iterdir()] == ["result.csv"]
    assert path.read_text() == "old"
