"""Files of the Hugging Face hub, where there is a network or a cache of it."""

import re
from pathlib import Path

from mmder_store.errors import WeightsError

MODEL = ("config.json", "preprocessor_config.json", "*.safetensors", "*.index.json")
PICKLED = ("config.json", "preprocessor_config.json", "pytorch_model*", "*.pth", "*.pt")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def fetch(name: str) -> Path:
    """Get ``OWNER/MODEL`` as a folder, or ``OWNER/MODEL/FILE`` as a file.

    Raises:
        WeightsError: If it cannot be had; says what to place by hand.
    """
    owner, _, rest = name.partition("/")
    model, _, file = rest.partition("/")
    repository = f"{owner}/{model}"
    if not _REPOSITORY.fullmatch(repository) or ".." in name.split("/"):
        msg = f"weights hf:{name}: expected hf:OWNER/MODEL or hf:OWNER/MODEL/FILE"
        raise WeightsError(msg)
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.utils import logging

    # One error says it all, where the client would say a line a retry.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        if file:
            return Path(hf_hub_download(repository, file))
        # The pickles of a repository only where it has nothing safer.
        folder = Path(snapshot_download(repository, allow_patterns=list(MODEL)))
        if not any(folder.glob("*.safetensors")):
            folder = Path(snapshot_download(repository, allow_patterns=list(PICKLED)))
    except Exception as error:  # whatever failed on the way, the way out is the same
        what = file or "config.json and model.safetensors (or pytorch_model.bin)"
        place = "the file" if file else "the folder"
        first = str(error).strip().split("\n")[0].split(". ")[0][:160]
        msg = (
            f"weights hf:{name}: cannot be had here ({type(error).__name__}: {first}). "
            f"Get {what} of {repository} on another machine, put it in a folder, and "
            f"give --weights {place}."
        )
        raise WeightsError(msg) from error
    return folder
