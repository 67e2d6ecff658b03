"""Check the shapes and types of all annotated calls that the tests make."""

import os
import signal

import pytest
from jaxtyping import install_import_hook

CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(["mmder_store", "mmder_prep", "mmder_train"], CHECKER)

# Workers that the tests start inherit a single thread, as in production.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell starts background programs with Ctrl-C ignored, and the programs that the
# tests start would inherit that. Some tests stop them with Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def worker_template() -> None:
    """Start the process from which workers are forked, so that they start at once."""
    from mmder_prep.pipeline import worker_template
    from mmder_store.settings import PrepSettings

    worker_template.start(worker_template.required_modules(PrepSettings()))
