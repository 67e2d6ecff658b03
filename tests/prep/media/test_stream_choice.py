"""Tracks that are chosen, told apart by the pitch of their tone and by their frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from media_clips import decode, frame_numbers
from mmder_prep.media.stream_choice import choose_streams
from mmder_prep.media.types import DecodedClip
from synth import draw

RATE = 16_000
LENGTH_S = 3.6


def tone(hz: float, seconds: float = LENGTH_S) -> np.ndarray:
    times_s = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(0.4 * np.sin(2 * np.pi * hz * times_s), dtype=np.float32)


def write_tracks(
    path: Path,
    waves: list[np.ndarray],
    *,
    defaults: tuple[int, ...] = (),
    stills: tuple[bool, ...] = (False,),
) -> Path:
    """Write one audio track per wave, and one video track per flag of a still image.

    Args:
        path: A path of a Matroska file.
        waves: One channel each.
        defaults: Indices of the default tracks among all tracks, videos first.
        stills: True for a video of a single frame.
    """
    with av.open(str(path), "w", options={"default_mode": "passthrough"}) as container:
        packets = []
        videos = [container.add_stream("libx264", rate=25) for _ in stills]
        audios = [
            container.add_stream("pcm_s16le", rate=RATE, layout="mono") for _ in waves
        ]
        for index, stream in enumerate([*videos, *audios]):
            default = index in defaults
            stream.disposition = Disposition.default if default else Disposition(0)
        for video, still in zip(videos, stills, strict=True):
            video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
            for number in [999] if still else range(90):
                image = draw(number, (96, 64))
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = (number % 999), Fraction(1, 25)
                packets += video.encode(frame)
            packets += video.encode(None)
        for audio, wave in zip(audios, waves, strict=True):
            block = np.rint(wave[None] * 32767).astype(np.int16)
            sound = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            sound.sample_rate, sound.pts = RATE, 0
            packets += [*audio.encode(sound), *audio.encode(None)]
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            container.mux(packet)
    return path


def pitch_hz(decoded: DecodedClip) -> float:
    spectrum = np.abs(np.fft.rfft(decoded.audio[: 2 * RATE]))
    return float(spectrum.argmax() / 2)


@pytest.mark.parametrize(
    ("waves", "defaults", "hz", "note"),
    [
        ((500, 800), (0,), 500, "number 1 is used"),
        ((500, 800), (0, 2), 800, "number 2 is used, the default"),
        ((500, 800), (0, 1), 500, "number 1 is used, the default"),
        ((0, 800), (0,), 800, "number 2 is used, since the better ranked is silent"),
        ((0, 0, 800), (0, 1), 800, "number 3 is used, since the better ranked"),
    ],
)
def test_audio_track_is_the_default_then_the_first_that_sounds(
    tmp_path: Path,
    waves: tuple[int, ...],
    defaults: tuple[int, ...],
    hz: int,
    note: str,
) -> None:
    path = write_tracks(tmp_path / "x.mkv", [tone(w) for w in waves], defaults=defaults)
    decoded = decode(path)
    assert pitch_hz(decoded) == pytest.approx(hz, abs=2)
    assert decoded.notes[0].startswith(f"{len(waves)} audio tracks; {note}")
    assert frame_numbers(decoded) == list(range(0, 80, 5))


def test_track_of_five_samples_is_not_used(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "x.mkv", [tone(500)[:5], tone(800)])
    decoded = decode(path)
    assert pitch_hz(decoded) == pytest.approx(800, abs=2)


def test_silent_tracks_are_all_tried_and_the_first_is_kept(tmp_path: Path) -> None:
    decoded = decode(write_tracks(tmp_path / "x.mkv", [tone(0), tone(0)]))
    assert decoded.notes == ("2 audio tracks; number 1 is used",)
    assert not decoded.audio.any()


def test_still_image_before_the_video_is_not_used(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "x.mkv", [tone(500)], stills=(True, False))
    decoded = decode(path)
    assert frame_numbers(decoded) == list(range(0, 80, 5))
    assert decoded.notes == (
        "2 video tracks; number 2 is used, since the better ranked is a single image",
    )
    assert pitch_hz(decoded) == pytest.approx(500, abs=2)


def test_one_track_of_each_kind_is_not_noted(tmp_path: Path) -> None:
    path = write_tracks(tmp_path / "x.mkv", [tone(500)])
    assert decode(path).notes == ()
    with av.open(str(path)) as container:
        video, audio = choose_streams(container, want_video=False, want_audio=True)
        assert video is None
        assert audio is container.streams.audio[0]
