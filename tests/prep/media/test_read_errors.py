"""A file that cannot be read to its end fails its clip; it is not taken as shorter."""

import errno
import io
import os
from pathlib import Path

import pytest

from media_clips import CONTAINERS
from mmder_prep.media.clip import Clip
from mmder_prep.media.decoder import read_clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_store.errors import MediaError
from mmder_store.settings import PrepSettings
from synth import write

SETTINGS = PrepSettings(face_crop=False)


class FailingFile(io.FileIO):
    """A file of which the disk returns only a part."""

    def __init__(self, path: Path, sound_bytes: int, code: int) -> None:
        super().__init__(path)
        self._sound_bytes, self._code = sound_bytes, code

    def read(self, size: int | None = -1) -> bytes:
        wanted = self._sound_bytes + 1 if size is None or size < 0 else size
        if self.tell() + wanted > self._sound_bytes:
            raise OSError(self._code, os.strerror(self._code))
        return super().read(size) or b""


class FailingSource(Source):
    """A source on such a disk."""

    fraction = 1.0
    code = errno.EIO

    def input(self) -> io.BytesIO:
        size = int(self.fraction * self.path.stat().st_size)
        return FailingFile(self.path, size, self.code)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {
        kind: write(folder / kind, CONTAINERS[kind])
        for kind in ("mp4", "mkv", "ts", "avi", "mpg", "wav")
    }


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi", "mpg", "wav"])
def test_a_read_error_fails_the_clip(
    clips: dict[str, Path],
    kind: str,
    fraction: float,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """At the start of the file, and in the middle of it; nothing is printed."""
    monkeypatch.setattr(FailingSource, "fraction", fraction)
    clip = Clip(clip_id="x", source=FailingSource(clips[kind]))
    with pytest.raises(MediaError, match=r"cannot be read \(Input/output error\)"):
        read_clip(clip, SETTINGS)
    row = prepare_clip(clip, SETTINGS, device="cpu")
    assert row.status == "failed"
    assert row.reason == "cannot be read (Input/output error)"
    assert capfd.readouterr().err == ""


def test_a_stale_file_handle_fails_the_clip(
    clips: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FailingSource, "fraction", 0.5)
    monkeypatch.setattr(FailingSource, "code", errno.ESTALE)
    clip = Clip(clip_id="x", source=FailingSource(clips["mkv"]))
    row = prepare_clip(clip, SETTINGS, device="cpu")
    assert (row.status, row.reason) == ("failed", "cannot be read (Stale file handle)")
