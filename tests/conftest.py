"""Every test also checks every shape and type in the signatures it passes through."""

import os
import signal

from jaxtyping import install_import_hook

CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(["mmder_store", "mmder_prep", "mmder_train"], CHECKER)

# Workers that the tests start inherit the same single thread as in production.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell lets what it runs in the background ignore Ctrl-C, and so would the programs
# that the tests start and stop with it.
signal.signal(signal.SIGINT, signal.default_int_handler)
