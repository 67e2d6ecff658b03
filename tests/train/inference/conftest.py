"""Fixtures with a small finished run."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mmder_train.cli.main import cli
from mmder_train.models.registry import ENCODERS
from small_run import SMALL_ENCODER, SmallRun, make_small_run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    return make_small_run(tmp_path_factory.mktemp("small_run"))


@pytest.fixture(autouse=True)
def small_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the encoder ``tiny`` by the one that the run was trained with."""
    monkeypatch.setitem(ENCODERS, "tiny", SMALL_ENCODER)


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run `mmder-train predict` in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*words: object) -> Result:
        return CliRunner().invoke(cli, ["predict", *map(str, words), "--device", "cpu"])

    return call
