"""Download files from the Hugging Face hub, or find them in its local cache."""

import re
from pathlib import Path

from mmder_store.errors import WeightsError

SAFE_FILES = (
    "config.json",
    "preprocessor_config.json",
    "*.safetensors",
    "*.index.json",
)
PICKLE_FILES = (
    "config.json",
    "preprocessor_config.json",
    "pytorch_model*",
    "*.pth",
    "*.pt",
)
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def fetch(name: str) -> Path:
    """Return the local folder of ``OWNER/MODEL``, or file of ``OWNER/MODEL/FILE``.

    Raises:
        WeightsError: If it cannot be downloaded. The message lists the files to copy
            by hand.
    """
    owner, _, rest = name.partition("/")
    model, _, file = rest.partition("/")
    repository = f"{owner}/{model}"
    if not _REPOSITORY.fullmatch(repository) or ".." in name.split("/"):
        msg = f"weights hf:{name}: expected hf:OWNER/MODEL or hf:OWNER/MODEL/FILE"
        raise WeightsError(msg)
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.utils import logging

    # The client would log a line per retry. One error message is enough.
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    try:
        if file:
            return Path(hf_hub_download(repository, file))
        # Download the pickles of a repository only if it has no safetensors.
        folder = Path(snapshot_download(repository, allow_patterns=list(SAFE_FILES)))
        if not any(folder.glob("*.safetensors")):
            folder = Path(
                snapshot_download(repository, allow_patterns=list(PICKLE_FILES))
            )
    except Exception as error:  # the solution is the same for every cause
        files = file or "config.json and model.safetensors (or pytorch_model.bin)"
        target = "the file" if file else "the folder"
        reason = str(error).strip().split("\n")[0].split(". ")[0][:160]
        msg = (
            f"weights hf:{name}: cannot be downloaded ({type(error).__name__}: "
            f"{reason}). Download {files} of {repository} on another machine, copy "
            f"{'it' if file else 'them'} to a folder, and pass {target} to --weights."
        )
        raise WeightsError(msg) from error
    return folder
