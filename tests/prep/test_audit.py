"""The audit finds what it should, and nothing in clips that are merely alike."""

import csv
import os
import shutil
import wave
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fake_store import make_store
from mmder_prep.corpora.manifest import read_manifest
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_prep.pipeline.prepare_clip import prepare_clip
from mmder_prep.pipeline.shard import make_shard
from mmder_prep.pipeline.shard_plan import shard_jobs
from mmder_prep.quality.audit import Finding, balances, findings, table
from mmder_prep.quality.fingerprints import (
    AUDIO_CORRELATION,
    audio_fingerprint,
    correlated_pairs,
    video_fingerprint,
)
from mmder_store import PrepSettings, Store, StoreSpec
from mmder_store.protocols import FoldProtocol
from mmder_store.store import create, seal
from synth import Synth, write

SETTINGS = PrepSettings(face_crop=False)
TAKE = Synth(duration_s=3.5, size_px=(96, 96), layout="mono", rate_hz=16_000)
COLUMNS = ("clip_id", "path", "emotion", "speaker", "sound", "fold")


def person(who: int, take: int) -> Callable[[int], np.ndarray]:
    """Paint somebody, the same before the same wall in each take, who moves anew."""
    rng = np.random.default_rng(who)
    wall = np.kron(rng.integers(60, 200, (12, 12, 3)), np.ones((8, 8, 1)))
    steps = np.random.default_rng((who, take)).normal(0, 1.5, (2, 200))
    path = np.clip(np.cumsum(steps, axis=1), -20, 20)

    def paint(number: int) -> np.ndarray:
        y, x = (48 + path[:, number]).astype(int)
        picture = wall.copy()
        picture[y - 20 : y + 20, x - 14 : x + 14] = 230 - 90 * (who % 2)
        picture[y + 8 : y + 12, x - 6 : x + 6] = 20  # a mouth
        return np.asarray(picture, dtype=np.uint8)

    return paint


def encoded_anew(path: Path, out: Path, *, sound: bool = True) -> Path:
    """Decode a clip and encode it with other codecs."""
    with av.open(str(path)) as container, av.open(str(out), "w") as made:
        video: Any = made.add_stream("mpeg4", rate=Fraction(25))
        video.width, video.height, video.pix_fmt = 96, 96, "yuv420p"
        video.bit_rate = 400_000
        audio: Any = made.add_stream("aac", rate=16_000) if sound else None
        packets: list[Any] = []
        for number, frame in enumerate(container.decode(video=0)):
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.pict_type = PictureType.NONE
            packets += video.encode(frame)
        packets += video.encode(None)
        if audio is not None:
            container.seek(0)
            resampler = av.AudioResampler(format="fltp", layout="mono", rate=16_000)
            for block in container.decode(audio=0):
                for part in resampler.resample(block):
                    packets += audio.encode(part)
            packets += audio.encode(None)
        for packet in sorted(packets, key=lambda p: (p.dts or 0) * p.time_base):
            made.mux(packet)
    return out


def silent(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 56_000))
    return path


def store_of(
    folder: Path, rows: Sequence[Sequence[object]], settings: PrepSettings = SETTINGS
) -> Store:
    """Make a store of the clips in a folder, in this process."""
    with (folder / "m.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    found = read_manifest(folder / "m.csv", root=None)
    clips = found.clips()
    spec = StoreSpec(
        corpus="x",
        clips=len(clips),
        settings=settings,
        label_sets=found.label_sets,
        protocols=found.protocols,
        manifest_sha256="0",
    )
    out = folder / "store"
    create(out, spec)
    for job in shard_jobs(
        clips,
        store=str(out),
        shard_clips=spec.shard_clips,
        settings=settings,
        device="cpu",
        run="x",
    ):
        make_shard(job, lambda _: None)
    told = [
        {k: getattr(r, k) for k in ("clip_id", "speaker", "emotion")}
        | dict.fromkeys(("rated_voice", "rated_face", "rated_both", "note"), "")
        for r in found.rows
    ]
    seal(out, told, {"mmder": "0"})
    return Store(out)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two speakers of three takes each, and eleven clips that should not be there."""
    folder = tmp_path_factory.mktemp("audit")
    for who, name in enumerate("ab"):
        for take in (1, 2, 3):
            spec = replace(TAKE, seed=7 * who + 11 * take)
            write(folder / f"{name}{take}", spec, paint=person(who, take))
    write(
        folder / "voice",
        replace(TAKE, suffix="mp3", video=None, audio="libmp3lame", seed=22),
    )
    for name in ("mute1", "mute2"):
        spec = replace(TAKE, audio=None)
        write(folder / name, spec, paint=person(9, int(name[-1])))
    black = np.zeros((96, 96, 3), dtype=np.uint8)
    for seed, name in enumerate(("black1", "black2")):
        write(folder / name, replace(TAKE, seed=30 + seed), paint=lambda _: black)
    encoded_anew(folder / "a1.mp4", folder / "a1-mute.mp4", sound=False)
    encoded_anew(folder / "a1.mp4", folder / "stolen.mp4")
    shutil.copy(folder / "a3.mp4", folder / "a3-again.mp4")
    silent(folder / "silence.wav")
    for name in ("bad1", "bad2"):
        (folder / f"{name}.mp4").write_bytes(b"no media at all")
    return store_of(
        folder,
        [
            *([f"a{k}", f"a{k}.mp4", "happy", "a", "", 1] for k in (1, 2, 3)),
            *([f"b{k}", f"b{k}.mp4", "sad", "b", "", 2] for k in (1, 2, 3)),
            ["a1-mute", "a1-mute.mp4", "happy", "a", "", 1],
            ["stolen", "stolen.mp4", "happy", "b", "", 2],
            ["a3-again", "a3-again.mp4", "sad", "a", "", 1],
            ["dubbed", "mute2.mp4", "happy", "b", "voice.mp3", 2],
            ["mute1", "mute1.mp4", "", "c", "", 2],
            *([f"hush{k}", f"b{k}.mp4", "sad", "b", "silence.wav", 2] for k in (1, 2)),
            *(
                [f"black{k}", f"black{k}.mp4", "sad", "bc"[k - 1], "", 2]
                for k in (1, 2)
            ),
            *([f"bad{k}", f"bad{k}.mp4", "sad", "ab"[k - 1], "", k] for k in (1, 2)),
        ],
    )


@pytest.fixture(scope="module")
def found(store: Store) -> list[Finding]:
    return findings(store)


def lines(found: Sequence[Finding], kind: str, *, leak: bool = False) -> list[str]:
    return [f.line for f in found if f.kind == kind and f.leak == leak]


def test_what_is_under_two_speakers_is_a_leak(found: list[Finding]) -> None:
    """A take encoded anew with another's name, and another's voice."""
    told = "; manifest has them in fold 1, fold 2"
    again = ", encoded anew"
    assert lines(found, "copies", leak=True) == [
        "a1, a1-mute, stolen: with the same pictures, with the same pictures"
        f"{again}, with the same sound{again}, of speakers a, b{told}",
        f"a2, dubbed: with the same sound{again}, of speakers a, b{told}",
    ]
    assert [f.leak for f in found] == sorted((f.leak for f in found), reverse=True)


def test_what_is_twice_of_one_speaker_is_a_warning(found: list[Finding]) -> None:
    one = "cut from one file at one time, with the same pictures"
    assert lines(found, "copies") == [
        f"a3, a3-again: {one}, with the same sound, all of speaker a",
        "b1, hush1: with the same pictures, all of speaker b",
        "b2, hush2: with the same pictures, all of speaker b",
    ]


def test_one_sound_with_two_emotions_is_named(found: list[Finding]) -> None:
    assert lines(found, "labels") == ["a3, a3-again: one sound, labelled happy, sad"]


def test_clips_without_an_emotion_are_named(found: list[Finding]) -> None:
    assert lines(found, "emotions") == ["without an emotion, 1 of 17: mute1"]


def test_silence_blank_pictures_and_failures_are_no_copies(
    found: list[Finding],
) -> None:
    """Nothing else is found: not the black, not the silent, not the failed."""
    assert len(found) == 7
    assert not [f for f in found if "black" in f.line or "bad" in f.line]


def test_a_store_of_noise_is_clean(tmp_path: Path) -> None:
    """Six speakers in six folds, every class in each."""
    assert findings(make_store(tmp_path / "s", clips=48)) == []


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of sound alone; each test opens it, and changes what it has opened."""
    path = tmp_path_factory.mktemp("clean") / "s"
    return make_store(path, clips=48, modality="audio").path


def test_a_store_of_sound_alone_is_audited(clean: Path) -> None:
    assert findings(Store(clean)) == []


def changed(store: Store, **changes: Any) -> Store:
    """Say something else in the protocol of a store."""
    protocol = replace(store.spec.protocols[0], **changes)
    store.spec = replace(store.spec, protocols=(protocol,))
    return store


def test_a_speaker_on_both_sides_is_a_leak(clean: Path) -> None:
    store = Store(clean)
    store = changed(store, only_trained=("01",), held_out=("06",))
    leaks = [f.line for f in findings(store) if f.leak]
    assert leaks == [
        "ravdess-contiguous-6: speaker 01 in fold 1, only trained",
        "ravdess-contiguous-6: speaker 06 in fold 2, held out",
    ]


def test_a_speaker_without_a_place_is_a_warning(clean: Path) -> None:
    store = Store(clean)
    folds = dict(store.spec.protocols[0].fold_of)
    del folds["01"], folds["24"]
    found = findings(changed(store, fold_of=folds))
    assert lines(found, "speakers") == [
        "ravdess-contiguous-6: no place for speakers 01, 24"
    ]
    assert not [f for f in found if f.leak]


def test_names_apart_by_zeros_or_capitals_are_told(clean: Path) -> None:
    store = Store(clean)
    store.columns["speaker"][:8] = "6"
    assert "speakers 06, 6: apart by zeros or capitals only" in lines(
        findings(store), "speakers"
    )


def test_the_balance_counts_usable_clips_of_each_class_in_each_fold(
    tmp_path: Path,
) -> None:
    """Eight emotions a speaker, calm is neutral; clip 2 (happy, speaker 01) failed."""
    store = make_store(tmp_path / "s", modality="audio", clips=48, status={2: "failed"})
    (balance,) = balances(store)
    assert balance.protocol == "ravdess-contiguous-6"
    assert list(balance.counts) == [f"fold {k}" for k in range(1, 7)]
    by_class = dict(zip(balance.classes, balance.counts["fold 1"], strict=True))
    assert by_class["happy"] == 0
    assert by_class["neutral"] == 2
    assert sum(map(sum, balance.counts.values())) == 47
    found = findings(store)
    assert lines(found, "classes") == ["ravdess-contiguous-6, fold 1: no happy"]
    text = Console(file=StringIO(), width=100)
    text.print(table(balance))
    shown = text.file.getvalue()  # type: ignore[attr-defined]
    assert "fold 6" in shown
    assert "surprised" in shown


def test_without_a_protocol_all_clips_are_in_one_line(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", modality="audio", clips=16, protocols=())
    (balance,) = balances(store)
    assert list(balance.counts) == ["all"]
    assert sum(balance.counts["all"]) == 16


def test_a_side_that_is_never_tested_is_counted_too(clean: Path) -> None:
    store = Store(clean)
    one = FoldProtocol(
        name="one", fold_of={"01": 1}, only_trained=("06",), held_out=("10",), source=""
    )
    store.spec = replace(store.spec, protocols=(one,))
    assert {p: sum(c) for p, c in balances(store)[0].counts.items()} == {
        "fold 1": 8,
        "held out": 8,
        "only trained": 8,
    }


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(0, 10))
def test_alike_gives_every_pair_above_the_threshold_once(
    seed: int, clips: int, without: int
) -> None:
    """Against all correlations at once, with prints that are not there."""
    rng = np.random.default_rng(seed)
    prints = rng.normal(size=(clips, 5)).astype(np.float32)
    prints /= np.linalg.norm(prints, axis=1, keepdims=True)
    some = [None if i < without else p for i, p in enumerate(prints)]
    expected = [
        (i, j)
        for i in range(without, clips)
        for j in range(i + 1, clips)
        if prints[i] @ prints[j] >= 0.5
    ]
    assert sorted(correlated_pairs(some, 0.5)) == expected


def test_blocks_leave_no_pair_out(monkeypatch: pytest.MonkeyPatch) -> None:
    prints = [np.array([1.0, 0.0], dtype=np.float32)] * 7
    monkeypatch.setattr("mmder_prep.quality.fingerprints.BLOCK", 3)
    assert len(set(correlated_pairs(prints, 0.9))) == 21


@given(st.floats(-30, 12), st.integers(0, 99))
def test_a_louder_copy_has_the_same_print(gain_db: float, seed: int) -> None:
    stft = np.random.default_rng(seed).normal(-40, 12, (16, 257, 41)).clip(-100)
    one, other = (
        audio_fingerprint((stft + g).astype(np.float16), SETTINGS)
        for g in (0.0, gain_db)
    )
    assert one is not None
    assert other is not None
    assert one @ other > 0.99


@given(st.integers(-100, 100), st.integers(0, 255))
def test_where_there_is_nothing_there_is_no_print(level_db: int, grey: int) -> None:
    """Nor where a picture stands still, nor in a tenth of a second of sound."""
    stft = np.full((16, 257, 41), level_db, dtype=np.float16)
    assert audio_fingerprint(stft, SETTINGS) is None
    brief = np.full((16, 257, 41), -100, dtype=np.float16)
    brief[4, :, :10] = np.random.default_rng(0).normal(-40, 12, (257, 10))
    assert audio_fingerprint(brief, SETTINGS) is None
    still = np.random.default_rng(grey).integers(0, 255, (224, 224, 3), dtype=np.uint8)
    assert video_fingerprint(np.stack([still] * 16)) is None


REAL = os.environ.get("MMDER_REAL_CLIPS", "")
SPEECH = os.environ.get("MMDER_REAL_SPEECH", "")


@pytest.mark.skipif(not REAL, reason="MMDER_REAL_CLIPS names no folder of clips")
def test_takes_of_a_real_speaker_differ_and_copies_do_not(tmp_path: Path) -> None:
    """Three takes of one sentence by one actor of CREMA-D, each also encoded anew."""
    folder = tmp_path / "x"
    folder.mkdir()
    takes = sorted(Path(REAL).glob("cremad/VideoFlash/*.flv"))
    assert len(takes) == 3
    rows = []
    for number, take in enumerate(takes):
        shutil.copy(take, folder)
        copy = real_copy(take, folder / f"copy{number}.mp4")
        rows += [[f"take{number}", take.name, "happy", "1001", "", ""]]
        rows += [[f"copy{number}", copy.name, "happy", "other", "", ""]]
    found = findings(store_of(folder, rows, PrepSettings(step_frames=3)))
    leaks = [f.line.split(":")[0] for f in found if f.leak]
    assert leaks == ["copy0, take0", "copy1, take1", "copy2, take2"]


def real_copy(path: Path, out: Path) -> Path:
    """Encode pictures anew as H.264 at their own times, without sound."""
    with av.open(str(path)) as container, av.open(str(out), "w") as made:
        stream = container.streams.video[0]
        video: Any = made.add_stream("libx264", rate=30, options={"crf": "28"})
        video.width, video.height, video.pix_fmt = (
            stream.width,
            stream.height,
            "yuv420p",
        )
        video.codec_context.time_base = Fraction(1, 90_000)
        for frame in container.decode(stream):
            assert frame.pts is not None
            assert frame.time_base is not None
            at_s = frame.pts * frame.time_base
            same = frame.reformat(format="yuv420p")
            same.time_base = Fraction(1, 90_000)
            same.pts, same.pict_type = round(at_s * 90_000), PictureType.NONE
            made.mux(video.encode(same))
        made.mux(video.encode(None))
    return out


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not SPEECH, reason="MMDER_REAL_SPEECH names no folder of takes")
@pytest.mark.parametrize("step", [6.0, 3.0])
def test_no_two_takes_of_real_speech_sound_the_same(step: float) -> None:
    """Each sentence twice in each way by each speaker, as RAVDESS has them.

    Equal files are taken once.
    """
    settings = PrepSettings(modality="audio", step_frames=step)
    files = {p.read_bytes(): p for p in sorted(Path(SPEECH).rglob("03-01-*.*"))}
    assert len(files) > 100
    prints = []
    for path in files.values():
        row = prepare_clip(
            Clip(clip_id="x", source=Source(path)), settings, device="cpu"
        )
        prints.append(audio_fingerprint(row.arrays["stft_16"], settings))
    assert all(p is not None for p in prints)
    assert list(correlated_pairs(prints, AUDIO_CORRELATION)) == []


def test_turns_of_one_recording_may_begin_at_once(tmp_path: Path) -> None:
    """Two speakers, two halves of the picture: each with a sound file of its own."""
    store = make_store(tmp_path / "s", clips=4)
    columns = store.columns
    columns["start_s"][:2] = 7.0
    columns["source_sha256"][:2] = "dialog"
    columns["sound_sha256"][:2] = ["one", "other"]
    assert [f for f in findings(store) if f.kind == "copies"] == []
    columns["sound_sha256"][:2] = ""
    assert len([f for f in findings(store) if f.kind == "copies"]) == 1
