"""The audit finds planted leaks and duplicates, and nothing in similar clips."""

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
from rich.console import Console

from fake_store import make_store
from mmder_prep.corpora.manifest_file import read_manifest
from mmder_prep.pipeline.shard import make_shard
from mmder_prep.pipeline.shard_plan import shard_jobs
from mmder_prep.quality.audit import Finding, balances, findings, table
from mmder_store import PrepSettings, Store, StoreSpec
from mmder_store.protocols import FoldProtocol
from mmder_store.writer import create, seal
from synth import Synth, write

SETTINGS = PrepSettings(face_crop=False)
TAKE = Synth(duration_s=3.5, size_px=(96, 96), layout="mono", rate_hz=16_000)
COLUMNS = ("clip_id", "path", "emotion", "speaker", "sound", "fold")


def person(number: int, take: int) -> Callable[[int], np.ndarray]:
    """Paint a person who looks the same in each take but moves differently."""
    rng = np.random.default_rng(number)
    wall = np.kron(rng.integers(60, 200, (12, 12, 3)), np.ones((8, 8, 1)))
    steps = np.random.default_rng((number, take)).normal(0, 1.5, (2, 200))
    path = np.clip(np.cumsum(steps, axis=1), -20, 20)

    def paint(frame: int) -> np.ndarray:
        y, x = (48 + path[:, frame]).astype(int)
        image = wall.copy()
        image[y - 20 : y + 20, x - 14 : x + 14] = 230 - 90 * (number % 2)
        image[y + 8 : y + 12, x - 6 : x + 6] = 20  # a mouth
        return np.asarray(image, dtype=np.uint8)

    return paint


def re_encode(path: Path, out: Path, *, with_audio: bool = True) -> Path:
    """Decode a clip and encode it with other codecs."""
    with av.open(str(path)) as container, av.open(str(out), "w") as output:
        video: Any = output.add_stream("mpeg4", rate=Fraction(25))
        video.width, video.height, video.pix_fmt = 96, 96, "yuv420p"
        video.bit_rate = 400_000
        audio: Any = output.add_stream("aac", rate=16_000) if with_audio else None
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
            output.mux(packet)
    return out


def write_silence(path: Path) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(2 * 56_000))
    return path


def store_of(
    folder: Path, rows: Sequence[Sequence[object]], settings: PrepSettings = SETTINGS
) -> Store:
    """Make a store of the clips in a folder, without worker processes."""
    with (folder / "m.csv").open("w", newline="") as file:
        csv.writer(file).writerows([COLUMNS, *rows])
    manifest = read_manifest(folder / "m.csv", root=None)
    clips = manifest.clips()
    spec = StoreSpec(
        corpus="x",
        clips=len(clips),
        settings=settings,
        label_sets=manifest.label_sets,
        protocols=manifest.protocols,
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
    columns = [
        {k: getattr(r, k) for k in ("clip_id", "speaker", "emotion")}
        | dict.fromkeys(("rated_voice", "rated_face", "rated_both", "note"), "")
        for r in manifest.rows
    ]
    seal(out, columns, {"mmder": "0"})
    return Store(out)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a store of two speakers with three takes each, and eleven bad clips."""
    folder = tmp_path_factory.mktemp("audit")
    for number, name in enumerate("ab"):
        for take in (1, 2, 3):
            spec = replace(TAKE, seed=7 * number + 11 * take)
            write(folder / f"{name}{take}", spec, paint=person(number, take))
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
    re_encode(folder / "a1.mp4", folder / "a1-mute.mp4", with_audio=False)
    re_encode(folder / "a1.mp4", folder / "stolen.mp4")
    shutil.copy(folder / "a3.mp4", folder / "a3-again.mp4")
    write_silence(folder / "silence.wav")
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


def test_a_copy_under_another_speaker_is_a_leak(found: list[Finding]) -> None:
    """One copy is re-encoded; the other has only the audio of the original."""
    folds = "of speakers a, b; manifest has them in fold 1, fold 2"
    assert lines(found, "duplicates", leak=True) == [
        "a1, a1-mute, stolen: same frames, same frames re-encoded, "
        f"same audio re-encoded, {folds}",
        f"a2, dubbed: same audio re-encoded, {folds}",
    ]
    assert [f.leak for f in found] == sorted((f.leak for f in found), reverse=True)


def test_a_copy_of_the_same_speaker_is_a_warning(found: list[Finding]) -> None:
    same = "same time in the same file, same frames, same audio"
    assert lines(found, "duplicates") == [
        f"a3, a3-again: {same}, all of speaker a",
        "b1, hush1: same frames, all of speaker b",
        "b2, hush2: same frames, all of speaker b",
    ]


def test_the_same_audio_with_two_emotions_is_named(found: list[Finding]) -> None:
    assert lines(found, "labels") == ["a3, a3-again: same audio, labeled happy, sad"]


def test_clips_without_an_emotion_are_named(found: list[Finding]) -> None:
    assert lines(found, "emotions") == ["1 of 17 clips have no emotion: mute1"]


def test_blank_silent_and_failed_clips_are_not_duplicates(
    found: list[Finding],
) -> None:
    assert len(found) == 7
    assert not [f for f in found if "black" in f.line or "bad" in f.line]


def test_a_store_of_noise_has_no_findings(tmp_path: Path) -> None:
    """It has six speakers in six folds, with every class in each."""
    assert findings(make_store(tmp_path / "s", clips=48)) == []


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return such a store of audio only, which tests open and change in memory."""
    path = tmp_path_factory.mktemp("clean") / "s"
    return make_store(path, clips=48, modality="audio").path


def test_an_audio_only_store_has_no_findings(clean: Path) -> None:
    assert findings(Store(clean)) == []


def with_protocol(store: Store, **changes: Any) -> Store:
    """Change the protocol of an open store."""
    protocol = replace(store.spec.protocols[0], **changes)
    store.spec = replace(store.spec, protocols=(protocol,))
    return store


def test_a_speaker_in_training_and_test_is_a_leak(clean: Path) -> None:
    store = Store(clean)
    store = with_protocol(store, only_trained=("01",), held_out=("06",))
    leaks = [f.line for f in findings(store) if f.leak]
    assert leaks == [
        "ravdess-contiguous-6: speaker 01 is in fold 1, training only",
        "ravdess-contiguous-6: speaker 06 is in fold 2, held out",
    ]


def test_a_speaker_without_a_fold_is_a_warning(clean: Path) -> None:
    store = Store(clean)
    folds = dict(store.spec.protocols[0].fold_of)
    del folds["01"], folds["24"]
    found = findings(with_protocol(store, fold_of=folds))
    assert lines(found, "speakers") == [
        "ravdess-contiguous-6: speakers without a fold: 01, 24"
    ]
    assert not [f for f in found if f.leak]


def test_names_that_differ_in_zeros_or_case_are_reported(clean: Path) -> None:
    store = Store(clean)
    store.columns["speaker"][:8] = "6"
    assert "speakers 06, 6: differ only in spelling" in lines(
        findings(store), "speakers"
    )


def test_the_balance_counts_usable_clips_of_each_class_in_each_fold(
    tmp_path: Path,
) -> None:
    """Speakers have eight emotions, calm is neutral; clip 2 (happy, 01) failed."""
    store = make_store(tmp_path / "s", modality="audio", clips=48, status={2: "failed"})
    (balance,) = balances(store)
    assert balance.protocol == "ravdess-contiguous-6"
    assert list(balance.counts) == [f"fold {k}" for k in range(1, 7)]
    by_class = dict(zip(balance.classes, balance.counts["fold 1"], strict=True))
    assert by_class["happy"] == 0
    assert by_class["neutral"] == 2
    assert sum(map(sum, balance.counts.values())) == 47
    found = findings(store)
    assert lines(found, "classes") == [
        "ravdess-contiguous-6, fold 1: no clips of happy"
    ]
    console = Console(file=StringIO(), width=100)
    console.print(table(balance))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "fold 6" in shown
    assert "surprised" in shown


def test_without_a_protocol_all_clips_are_in_one_part(tmp_path: Path) -> None:
    store = make_store(tmp_path / "s", modality="audio", clips=16, protocols=())
    (balance,) = balances(store)
    assert list(balance.counts) == ["all"]
    assert sum(balance.counts["all"]) == 16


def test_parts_that_are_never_tested_are_counted(clean: Path) -> None:
    store = Store(clean)
    one = FoldProtocol(
        name="one", fold_of={"01": 1}, only_trained=("06",), held_out=("10",), source=""
    )
    store.spec = replace(store.spec, protocols=(one,))
    assert {p: sum(c) for p, c in balances(store)[0].counts.items()} == {
        "fold 1": 8,
        "held out": 8,
        "training only": 8,
    }


REAL = os.environ.get("MMDER_REAL_CLIPS", "")


@pytest.mark.skipif(not REAL, reason="MMDER_REAL_CLIPS names no folder of clips")
def test_takes_of_a_real_speaker_differ_and_copies_do_not(tmp_path: Path) -> None:
    """Three takes of one sentence by one actor of CREMA-D, each also re-encoded."""
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
    """Re-encode video as H.264 with the original times, without audio."""
    with av.open(str(path)) as container, av.open(str(out), "w") as output:
        stream = container.streams.video[0]
        video: Any = output.add_stream("libx264", rate=30, options={"crf": "28"})
        video.width, video.height, video.pix_fmt = (
            stream.width,
            stream.height,
            "yuv420p",
        )
        video.codec_context.time_base = Fraction(1, 90_000)
        for frame in container.decode(stream):
            assert frame.pts is not None
            assert frame.time_base is not None
            time_s = frame.pts * frame.time_base
            converted = frame.reformat(format="yuv420p")
            converted.time_base = Fraction(1, 90_000)
            converted.pts, converted.pict_type = (
                round(time_s * 90_000),
                PictureType.NONE,
            )
            output.mux(video.encode(converted))
        output.mux(video.encode(None))
    return out
