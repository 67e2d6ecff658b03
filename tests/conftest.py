"""Every test also checks every shape and type in the signatures it passes through."""

import os

from jaxtyping import install_import_hook

CHECKER = "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))"
install_import_hook(["mmder_store", "mmder_prep", "mmder_train"], CHECKER)

# Workers that the tests start inherit the same single thread as in production.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
