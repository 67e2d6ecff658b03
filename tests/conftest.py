"""Check the shapes and types of all annotated calls that the tests make."""

import os
import signal
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from jaxtyping import install_import_hook

# With PYTHONDONTWRITEBYTECODE, each process that the tests start would compile all
# libraries again, which takes longer than the rest of the import. The bytecode is then
# kept in the cache of pytest, and the folders of the sources stay as they are.
if sys.dont_write_bytecode:
    sys.dont_write_bytecode = False
    sys.pycache_prefix = str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix

CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(["mmder_store", "mmder_prep", "mmder_train"], CHECKER)

# Workers that the tests start inherit a single thread, as in production.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell starts background programs with Ctrl-C ignored, and the programs that the
# tests start would inherit that. Some tests stop them with Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = (
    "tests/prep/quality/report/",
    "tests/prep/synthetic/",
    "tests/train/inference/",
)
"""Folders whose files share an expensive fixture; one process runs all their tests."""
SLOW = (
    "tests/e2e/",
    "tests/train/runtime/",
    "tests/train/training/",
    "tests/train/experiment/",
    "tests/prep/pipeline/",
    "tests/train/inference/",
)
"""Tests that start first, so that no process is left with them at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Move the slow tests to the front, and keep the order of all others."""
    items.sort(key=lambda item: not item.nodeid.startswith(SLOW))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute whole files, or whole folders with a shared fixture, in order."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    def split_scope(nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return next((folder for folder in SHARED if file.startswith(folder)), file)

    config.option.loadscopereorder = False
    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = split_scope
    return scheduler


@pytest.fixture(scope="session")
def worker_template() -> None:
    """Start the process from which workers are forked, so that they start at once."""
    from mmder_prep.pipeline import worker_template
    from mmder_store.settings import PrepSettings

    with patch.dict(os.environ):
        worker_template.start(worker_template.required_modules(PrepSettings()))


@pytest.fixture
def forked_workers(worker_template: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork the process that prepares clips for prediction, instead of starting one."""
    from mmder_prep.pipeline.worker_template import start_method
    from mmder_train.inference import preprocessing

    context = get_context(start_method())
    monkeypatch.setattr(preprocessing, "get_context", lambda _method: context)
