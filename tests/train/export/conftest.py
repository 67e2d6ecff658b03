"""A finished run of two strategies, whose models are exported."""

from pathlib import Path

import pytest

from fake_store import make_store
from train_runs import invoke


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train heads of audio and SFAS on a frozen random encoder, in six folds."""
    folder = tmp_path_factory.mktemp("export")
    make_store(folder / "store", clips=24, planted="picture sound")
    done = invoke(
        *("--store", str(folder / "store"), "--out", str(folder / "run")),
        *("--strategy", "audio,sfas", "--epochs", "5", "--save-weights"),
        *("--encoder", "tiny-56", "--feature-cache", "none", "--image-norm", "half"),
    )
    assert done.exit_code == 0, done.output
    return folder / "run"
