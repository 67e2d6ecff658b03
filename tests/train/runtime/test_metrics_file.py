"""The metrics file keeps complete lines, one per epoch."""

import json
from pathlib import Path

import pytest

from mmder_store.errors import SettingsError
from mmder_train.runtime.metrics_file import MetricsFile, read_metrics

ONE, TWO = {"fold": 1}, {"fold": 2}


def test_epochs_that_are_trained_again_are_removed(tmp_path: Path) -> None:
    """Those of other folds are kept, and so is the order."""
    path = tmp_path / "new" / "metrics.jsonl"
    file = MetricsFile(path=path)
    file.remove_after([ONE], epoch=0)
    assert not path.exists()
    for epoch in (1, 2, 3):
        for tags in (ONE, TWO):
            file.append({**tags, "epoch": epoch, "loss": 1 / epoch})
    file.remove_after([TWO], epoch=1)
    file.append({**TWO, "epoch": 2, "loss": 9.0})
    expected = [(1, 1), (2, 1), (1, 2), (1, 3), (2, 2)]
    assert [(r["fold"], r["epoch"]) for r in read_metrics(path)] == expected
    assert read_metrics(path)[-1]["loss"] == 9.0
    file.remove_after([ONE, TWO], epoch=0)
    file.close()
    assert path.read_bytes() == b""


def test_a_line_that_was_cut_off_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    whole = b'{"fold": 1, "epoch": 1}\n'
    for cut in (b'{"fold": 1, "ep', whole[:-1], b"\0\0"):
        path.write_bytes(whole + cut)
        assert len(read_metrics(path)) == 1
        file = MetricsFile(path=path)
        file.remove_after([TWO], epoch=0)
        assert path.read_bytes() == whole
        file.append({"fold": 1, "epoch": 2})
        assert [row["epoch"] for row in read_metrics(path)] == [1, 2]
        file.close()


@pytest.mark.parametrize("line", ["[]", "{}", '{"epoch": "x"}', "nan", '{"epoch": 1'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"epoch": 1}}\n{line}\n{{"epoch": 2}}\n')
    with pytest.raises(SettingsError, match=r"metrics.jsonl, line 2: expected a JSON"):
        read_metrics(path)


def test_values_that_are_not_finite_are_null(tmp_path: Path) -> None:
    """Strict parsers of JSON refuse NaN."""
    file = MetricsFile(path=tmp_path / "m.jsonl")
    file.append({"epoch": 1, "a": float("nan"), "b": float("inf"), "c": 0.1})
    file.close()
    text = (tmp_path / "m.jsonl").read_text()
    assert json.loads(text) == {"epoch": 1, "a": None, "b": None, "c": 0.1}


def test_a_full_disk_names_the_file() -> None:
    file = MetricsFile(path=Path("/dev/full"))
    with pytest.raises(OSError, match="No space left on device: '/dev/full'"):
        file.append({"epoch": 1})
    file.close()
