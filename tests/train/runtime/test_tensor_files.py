"""A full disk is an `OSError`, as for every other file."""

import errno
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from mmder_store.atomic_files import atomic_write
from mmder_train.runtime.tensor_files import save_tensors


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may exceed 10 kB, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_tensors_are_written_with_their_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_tensors(path, {"x": torch.arange(3)}, {"k": "v"})
    assert load_file(path)["x"].tolist() == [0, 1, 2]


@pytest.mark.usefixtures("small_files")
def test_a_full_disk_names_the_file_and_keeps_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_text("old")
    with pytest.raises(OSError, match=str(path)) as caught, atomic_write(path) as draft:
        save_tensors(draft, {"x": torch.zeros(10_000)})
    assert caught.value.errno == errno.EFBIG
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]
    assert path.read_text() == "old"
