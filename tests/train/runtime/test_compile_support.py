"""A missing part of torch.compile is one line, before anything is read."""

import shutil
import sysconfig
from pathlib import Path

import pytest

from mmder_store.errors import SettingsError
from mmder_train.runtime import compile_support
from mmder_train.runtime.compile_support import check_compiler
from train_runs import FINETUNE, Train


@pytest.mark.parametrize(
    ("device", "variable", "kind"), [("cpu", "CXX", "C++"), ("cuda", "CC", "C")]
)
def test_a_missing_compiler_is_named(
    monkeypatch: pytest.MonkeyPatch, device: str, variable: str, kind: str
) -> None:
    monkeypatch.setenv(variable, "no-such-compiler")
    monkeypatch.setattr(compile_support, "find_spec", lambda _: object())
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SettingsError) as raised:
        check_compiler(device)
    assert str(raised.value) == (
        f"--compile: torch.compile needs a {kind} compiler, and no-such-compiler was "
        f"not found. Install one, name it in {variable}, or omit --compile."
    )


def test_a_gpu_needs_triton_and_the_header_of_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    monkeypatch.setattr(compile_support, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="needs Triton, and triton was not found"):
        check_compiler("cuda")
    monkeypatch.setattr(compile_support, "find_spec", lambda _: object())
    with pytest.raises(SettingsError, match=r"needs Python's header, and .*Python\.h"):
        check_compiler("cuda")
    (tmp_path / "Python.h").touch()
    check_compiler("cuda")
    # A CPU needs neither.
    (tmp_path / "Python.h").unlink()
    check_compiler("cpu")


def test_a_run_without_a_compiler_is_refused_in_one_line(
    train_audio: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    done = train_audio(*FINETUNE, "--compile", "--device", "cpu")
    assert done.exit_code == 1
    assert done.stderr.count("\n") == 1
    assert "--compile: torch.compile needs a C++ compiler" in done.stderr
