"""Stretches of audio of several rates, and stamps that start again."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media_clips import decode
from mmder_prep.media.audio_track import AudioTrack
from mmder_prep.media.clip import Clip, Segment
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_store.settings import PrepSettings
from synth import Synth, lag_s, write

RATE = 16_000
UNBOUNDED = {"low_s": -1e6, "high_s": 1e6}


def tone(times_s: np.ndarray) -> np.ndarray:
    return np.sin(2 * np.pi * 500 * times_s).astype(np.float32)


@pytest.mark.parametrize("stamped", [True, False])
@pytest.mark.parametrize("second_hz", [8000, 22050, 48000])
def test_stretches_of_two_rates_are_one_tone(second_hz: int, stamped: bool) -> None:
    track = AudioTrack()
    for rate_hz, begin_s in ((44_100, 0.0), (second_hz, 1.0)):
        for block in range(10):
            count = rate_hz // 10
            times_s = begin_s + (block * count + np.arange(count)) / rate_hz
            stamp_s = float(times_s[0]) if stamped else np.nan
            track.add(stamp_s, tone(times_s)[None], rate_hz=rate_hz)
    audio, first_s, notes = track.resample(RATE, **UNBOUNDED)
    assert first_s == 0
    assert len(audio) == pytest.approx(2 * RATE, abs=2)
    expected = tone(np.arange(len(audio)) / RATE)
    error = np.abs(audio - expected)
    # The resampling filters see silence outside of their part.
    assert error[200 : RATE - 200].max() < 0.02
    assert error[RATE + 200 : -200].max() < 0.02
    assert notes == [
        f"audio changes from 44100 to {second_hz} Hz; each part is resampled"
    ]


def test_stamps_that_start_again_are_joined() -> None:
    track, whole = AudioTrack(), np.random.default_rng(0).uniform(-1, 1, 2 * RATE)
    for at in range(0, 2 * RATE, 800):
        block = whole[None, at : at + 800].astype(np.float32)
        track.add((at % RATE) / RATE, block, rate_hz=RATE)
    audio, _, notes = track.resample(RATE, **UNBOUNDED)
    assert (audio == whole.astype(np.float32)).all()
    assert notes == ["audio time stamps start again 1 times; the parts are joined"]


@pytest.mark.parametrize("kind", ["mp3", "flac"])
def test_files_joined_from_two_rates_keep_all_audio(tmp_path: Path, kind: str) -> None:
    """The second half of the file is not lost: all 3.6 s sound."""
    codec = {"mp3": "libmp3lame", "flac": "flac"}[kind]
    suffix = "ogg" if kind == "flac" else "mp3"
    spec = Synth(suffix=suffix, video=None, audio=codec, duration_s=1.8, layout="mono")
    rates_hz = (44_100, 48_000)
    parts = [write(tmp_path / str(hz), replace(spec, rate_hz=hz)) for hz in rates_hz]
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    decoded = decode(path, step_frames=7.0)
    assert len(decoded.audio) / RATE == pytest.approx(3.6, abs=0.06)
    loud = np.abs(decoded.audio[: len(decoded.audio) // 160 * 160]).reshape(-1, 160)
    assert (loud.max(axis=1) > 0.1).mean() > 0.97
    assert "audio changes from 44100 to 48000 Hz" in decoded.notes[0]
    second = decoded.audio[round(2.0 * RATE) : round(3.4 * RATE)]
    expected = spec.wave(RATE)[round(0.2 * RATE) : round(1.6 * RATE)]
    lags = np.correlate(second[2000:-2000], expected[2400:-2400], "full")
    norm = np.linalg.norm(second[2000:-2000]) * np.linalg.norm(expected[2400:-2400])
    assert lags.max() / norm > 0.7


def test_lost_packet_is_silence_and_later_audio_keeps_its_time(tmp_path: Path) -> None:
    """One packet of AAC holds 1024 samples; 48,000 per second."""
    whole = write(tmp_path / "whole", Synth(rate_hz=48_000))
    path = tmp_path / "x.mp4"
    with av.open(str(whole)) as source, av.open(str(path), "w") as copy:
        streams = {s.index: copy.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            begin_s = Fraction(packet.pts or 0) * (packet.time_base or 0)
            if packet.stream.type == "audio" and 0.4 <= begin_s < 0.42:
                continue
            packet.stream = streams[packet.stream.index]
            copy.mux(packet)
    expected, decoded = decode(whole), decode(path)
    assert decoded.notes == ("0.021 s of audio are missing; silence is inserted",)
    assert len(decoded.audio) == len(expected.audio)
    later = slice(RATE, 3 * RATE)
    delay_s, similarity = lag_s(decoded.audio[later], expected.audio[later], RATE)
    assert delay_s == 0
    assert similarity > 0.999


@pytest.mark.parametrize(("sound_s", "silence"), [(0.3, 0.906), (2.0, 0.375), (3.5, 0)])
def test_audio_for_part_of_the_clip_is_noted(
    tmp_path: Path, sound_s: float, silence: float
) -> None:
    """The clip lasts 3.2 s; the silent fraction is 1 - sound / 3.2."""
    spec = Synth(suffix="mkv", audio="flac", sound_s=sound_s, size_px=(96, 64))
    clip = Clip(clip_id="x", source=Source(write(tmp_path / "x", spec)))
    row = prepare_clip(clip, PrepSettings(face_crop=False), device="cpu")
    assert row.status == "ok"
    assert row.facts["silence"] == pytest.approx(silence, abs=0.01)
    note = f"audio for {sound_s:.2f} of the clip's 3.20 s" if silence else ""
    assert row.reason == note


def test_segment_counts_silence_up_to_its_stop(tmp_path: Path) -> None:
    spec = Synth(suffix="mkv", audio="flac", sound_s=1.5, size_px=(96, 64))
    clip = Clip(
        clip_id="x",
        source=Source(write(tmp_path / "x", spec)),
        segment=Segment(start_s=1.0, stop_s=2.0),
    )
    row = prepare_clip(clip, PrepSettings(face_crop=False), device="cpu")
    assert row.facts["silence"] == pytest.approx(0.5, abs=0.02)
    assert row.reason == "audio for 0.50 of the clip's 1.00 s"
