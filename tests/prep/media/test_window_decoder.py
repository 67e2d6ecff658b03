"""Windows of long recordings: their times, their memory, and tracks that end."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from mmder_prep.media.source import Source
from mmder_prep.media.types import DecodedWindow
from mmder_prep.media.window_decoder import read_windows
from mmder_prep.media.window_pass import WindowPass
from mmder_prep.media.window_plan import plan_windows
from mmder_store.errors import MediaError
from mmder_store.settings import PrepSettings
from synth import Synth, number_in, write

SETTINGS = PrepSettings(face_crop=False)
SLOW = Synth(
    suffix="mkv",
    audio="flac",
    fps=Fraction(5),
    rate_hz=8000,
    layout="mono",
    size_px=(96, 64),
)
"""A recording of a minute takes a fraction of a second to write."""


def windows_of(
    path: Path, every_s: float = 1.0, **values: float
) -> list[DecodedWindow]:
    plan = plan_windows(SETTINGS, every_s=every_s, **values)
    return list(read_windows(Source(path=path), SETTINGS, plan))


def numbers(window: DecodedWindow) -> list[int | None]:
    """Return the numbers that the frames of a window show."""
    assert window.decoded is not None
    return [number_in(frame.rgb()) for frame in window.decoded.frames]


def test_a_minute_is_covered_to_its_end(tmp_path: Path) -> None:
    """Frame k shows the number k, so a window shows from which moment it is."""
    path = write(tmp_path / "talk", replace(SLOW, duration_s=60))
    windows = windows_of(path)
    assert [w.start_s for w in windows] == [float(k) for k in range(58)]
    for window in windows[:-1]:
        first = round(5 * window.start_s)
        assert numbers(window) == [*range(first, first + 16)]
        assert window.end_s == window.stop_s == pytest.approx(window.start_s + 3.2)
        assert window.decoded is not None
        assert window.decoded.audio_start_s == pytest.approx(window.start_s, abs=1e-3)
        assert len(window.decoded.audio) == pytest.approx(3.2 * 16_000, abs=20)
    # The last begins at 57 s. Its last frame repeats the last of the recording.
    last = windows[-1]
    assert numbers(last) == [*range(285, 300), 299]
    assert last.end_s == pytest.approx(60.0, abs=0.01)
    assert last.decoded is not None
    assert last.decoded.facts["clamped"] == 1


def test_only_the_windows_around_the_position_are_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About 3.2 s of a window and 1 s of lead are four or five windows a second."""
    path = write(tmp_path / "talk", replace(SLOW, duration_s=40))
    sizes: list[int] = []
    seconds: list[float] = []
    decode = WindowPass._decode

    def record(self: WindowPass, packet: Any) -> None:
        decode(self, packet)
        sizes.append(len(self.windows))
        seconds.extend(w.state.audio.seconds for w in self.windows)

    monkeypatch.setattr(WindowPass, "_decode", record)
    assert len(windows_of(path)) == 38
    assert 2 <= max(sizes) <= 6
    assert max(seconds) < 5


def test_windows_further_apart_than_long_leave_gaps(tmp_path: Path) -> None:
    path = write(tmp_path / "talk", replace(SLOW, duration_s=20))
    windows = windows_of(path, every_s=8.0)
    assert [w.start_s for w in windows] == [0.0, 8.0, 16.0]
    assert [numbers(w)[0] for w in windows] == [0, 40, 80]


def test_a_part_of_a_recording_ends_where_it_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "talk", replace(SLOW, duration_s=20))
    windows = windows_of(path, first_s=2.4, stop_s=8.0)
    assert [w.start_s for w in windows] == pytest.approx([2.4, 3.4, 4.4, 5.4])
    assert windows[-1].end_s == 8.0
    assert numbers(windows[-1]) == [*range(27, 40), 39, 39, 39]


def test_a_recording_of_audio_has_no_frames(tmp_path: Path) -> None:
    spec = replace(SLOW, suffix="wav", audio="pcm_s16le", video=None, duration_s=6)
    windows = windows_of(write(tmp_path / "talk", spec))
    assert [w.start_s for w in windows] == [0.0, 1.0, 2.0, 3.0]
    assert all(w.decoded is not None and not w.decoded.frames for w in windows)
    assert windows[-1].end_s == pytest.approx(6.0, abs=0.01)


def test_audio_that_begins_late_is_in_the_windows_from_there(tmp_path: Path) -> None:
    """It counts as ended after 30 s, until it begins."""
    spec = replace(SLOW, duration_s=44, audio_start_s=38, sound_s=6)
    windows = windows_of(write(tmp_path / "talk", spec))
    assert len(windows) == 42
    audible = [w.start_s for w in windows if w.decoded and w.decoded.audio.any()]
    assert audible == [float(k) for k in range(35, 42)]
    for window in windows:
        assert window.decoded is not None
        assert numbers(window)[0] == round(5 * window.start_s)


def test_tracks_that_are_not_interleaved_are_one_line(tmp_path: Path) -> None:
    """All audio is stored behind the video, which would have to be kept."""
    spec = replace(SLOW, duration_s=45)
    whole = write(tmp_path / "talk", spec)
    path = tmp_path / "apart.mkv"
    with av.open(str(whole)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        demuxed = [p for p in source.demux() if p.dts is not None]
        for packet in sorted(demuxed, key=lambda p: p.stream.type != "video"):
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    with pytest.raises(MediaError, match="interleave them with"):
        windows_of(path)


def test_a_file_without_media_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "talk.mp4").write_bytes(b"no media" * 99)
    with pytest.raises(MediaError, match="not readable as media"):
        windows_of(tmp_path / "talk.mp4")


def test_a_window_after_the_end_of_the_audio_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "talk", replace(SLOW, duration_s=12, sound_s=5))
    windows = windows_of(path)
    assert len(windows) == 10
    audible = [bool(w.decoded and len(w.decoded.audio)) for w in windows]
    assert audible == [True] * 5 + [False] * 5
    assert np.all([numbers(w)[0] == 5 * k for k, w in enumerate(windows)])
