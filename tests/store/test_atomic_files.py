"""A file is complete or does not exist."""

import json
from pathlib import Path

import pytest

from mmder_store.atomic_files import write_json


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    """The old content is kept and no draft is left."""
    file = tmp_path / "a.json"
    write_json(file, {"a": 1})
    with pytest.raises(TypeError):
        write_json(file, {"a": object()})
    assert json.loads(file.read_text()) == {"a": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
