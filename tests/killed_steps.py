"""A writer that is killed at a chosen step, in the process of the test."""

from pathlib import Path
from typing import Any

import pytest
import zarr


class KilledError(BaseException):
    """Ends the process of the test's writer; no handler of errors catches it."""


class Steps:
    """Counter of a writer's steps: renamings of files, and consolidations of metadata.

    Attributes:
        count: Number of steps since the last `limit`.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count steps; none of them kills until `limit` is called."""
        self.count, self._last = 0, 10**9
        self._watch(monkeypatch, Path, "replace")
        self._watch(monkeypatch, zarr, "consolidate_metadata")

    def limit(self, last: int = 10**9) -> None:
        """Count from zero, and kill at step `last`."""
        self.count, self._last = 0, last

    def _watch(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            if self.count >= self._last:
                raise KilledError
            self.count += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, watched)
