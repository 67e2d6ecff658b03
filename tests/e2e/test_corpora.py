"""The corpus commands on small folders laid out like each release.

Frame k of every video shows the number k, and every tenth of a second of every audio
has its own tone. The store therefore shows which file was read, which half of it, and
at which times.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fake_corpora import evaluation, lay
from mmder_prep.pipeline.cluster import open_cluster
from mmder_store import Store
from run_cli import run_here
from synth import Synth, draw, number_in, sounds_like, write

RATE = Fraction(30_000, 1001)
FLV = Synth(
    suffix="flv",
    video="flv",
    audio="libmp3lame",
    fps=RATE,
    duration_s=2.4,
    size_px=(96, 64),
    layout="mono",
)
WAV = Synth(
    suffix="wav",
    video=None,
    audio="pcm_s16le",
    duration_s=2.4,
    rate_hz=16_000,
    layout="mono",
    seed=20,
)
"""Its tones are half the table away from those in the video file."""


@pytest.fixture(scope="module")
def fast(worker_template: None) -> Iterator[tuple[str, ...]]:
    """Return options for fast preparation: no face search, and a running cluster."""
    with open_cluster(workers=1, scheduler=None) as cluster:
        address = cluster.client.scheduler_info(n_workers=0)["address"]
        yield ("--no-face-crop", "--scheduler", address)


def row_of(store: Store, clip_id: str) -> int:
    return int(list(store.columns["clip_id"]).index(clip_id))


def has_tones_of(
    store: Store, row: int, spec: Synth, *, at_s: float = 0.0, stop_s: float = np.inf
) -> bool:
    """Return whether a row has the tones of an audio that starts at `at_s`.

    Audio before the first frame or after `stop_s` is not compared.
    """
    stft = store.read("stft_16", row).astype(float)
    columns = stft.shape[2]
    bounds_s = store.read("window_16_s", row)
    step_s = (bounds_s[0, 1] - bounds_s[0, 0]) / (columns - 1)
    times_s = bounds_s[:, :1] + step_s * np.arange(columns)
    low_s = max(at_s, bounds_s[0].mean()) + 0.02
    audible = (times_s > low_s) & (times_s < min(stop_s, at_s + spec.duration_s) - 0.02)
    assert audible.sum() > 100
    reach_s = step_s + 0.0111
    early, late = (spec.tones_hz(times_s - at_s + s) for s in (-reach_s, reach_s))
    like = sounds_like(stft.argmax(axis=1) * 31.25, early, late)[audible]
    return bool(like.mean() > 0.99)


def numbers(store: Store, row: int) -> np.ndarray:
    """Return the numbers shown by the stored frames."""
    return np.array([number_in(frame) for frame in store.read("frames", row)], float)


# CREMA-D.

CLIPS = ("1001_DFA_ANG_XX", "1001_DFA_HAP_XX", "1020_DFA_ANG_XX", "1020_IEO_HAP_HI")
MUTE = "1020_TIE_HAP_XX"
GONE = "1001_ITH_SAD_XX"
BAD = "1076_MTI_SAD_XX"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 130\n"


@pytest.fixture(scope="module")
def cremad(
    tmp_path_factory: pytest.TempPathFactory, fast: tuple[str, ...]
) -> tuple[Path, Store, str]:
    root = tmp_path_factory.mktemp("cremad")
    for seed, name in enumerate((*CLIPS, MUTE, BAD)):
        write(root / "VideoFlash" / name, replace(FLV, seed=seed))
    for seed, name in enumerate((*CLIPS, GONE)):
        write(root / "AudioWAV" / name, replace(WAV, seed=20 + seed))
    lay(root, f"VideoFlash/{GONE}.flv", text=POINTER)
    votes = [
        '"",FileName,VoiceVote,VoiceLevel,FaceVote,FaceLevel,MultiModalVote,'
        "MultiModalLevel",
        *(f'"{i}","{n}","{"AN"[i % 2]}",1,"A:H",1,"H",1' for i, n in enumerate(CLIPS)),
    ]
    lay(root, "processedResults/summaryTable.csv", text="\r\n".join(votes))
    out = root / "store"
    words = ("--root", root, "--out", out, *fast, "--max-failed", 1)
    log = run_here("mmder_prep", "cremad", *words).stderr
    return root, Store(out), log


def test_the_audio_of_cremad_is_its_wav_file(cremad: tuple[Path, Store, str]) -> None:
    """The tones are those of the wav file, or of the video file if there is no wav."""
    _, store, log = cremad
    for seed, name in enumerate(CLIPS):
        row = row_of(store, name)
        assert store.columns["status"][row] == "ok"
        # The audio starts with the first frame, which is a little late in the flv file.
        at_s = float(store.columns["picture_start_s"][row])
        assert 0.01 < at_s < 0.06
        assert has_tones_of(store, row, replace(WAV, seed=20 + seed), at_s=at_s)
        assert not has_tones_of(store, row, replace(FLV, seed=seed))
        shown = numbers(store, row) / float(RATE)
        assert shown == pytest.approx(0.1 * np.arange(16), abs=0.02)
        assert store.columns["sound_rate_hz"][row] == 16_000
    row = row_of(store, MUTE)
    # The file starts with the padding of the audio encoder, before the first frame.
    stored_s = store.read("frame_time_s", row)
    clock_s = float(np.median(stored_s - numbers(store, row) / float(RATE)))
    assert has_tones_of(store, row, replace(FLV, seed=len(CLIPS)), at_s=clock_s)
    assert "1 clips have no wav file: the audio track of the video file is used" in log
    assert f"known bad clips are skipped without --include-known-bad: {BAD}" in log
    assert BAD not in store.columns["clip_id"]


def test_a_git_lfs_pointer_is_a_clip_without_video(
    cremad: tuple[Path, Store, str],
) -> None:
    _, store, log = cremad
    row = row_of(store, GONE)
    assert store.columns["status"][row] == "no_video"
    assert "git-lfs" in store.columns["reason"][row]
    assert "1 clips lack video or audio, or failed" in log


def test_the_crowd_ratings_of_the_voice_can_be_trained_on(
    cremad: tuple[Path, Store, str], tmp_path: Path
) -> None:
    """Clips rated angry or neutral by voice: each speaker is tested once."""
    _, store, _ = cremad
    run_here(
        *("mmder_train", "--store", store.path, "--strategy", "audio", "--epochs", 2),
        *("--labels", "cremad-6-voice", "--out", tmp_path / "run"),
    )
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["config"]["labels"] == "cremad-6-voice"
    assert results["config"]["protocol"] == "cremad-contiguous-5"
    folds = results["strategies"]["audio"]["folds"]
    assert [fold["speakers"] for fold in folds] == [["1001"], ["1020"]]
    with (tmp_path / "run" / "predictions-audio.csv").open() as file:
        true = {line["clip_id"]: line["true"] for line in csv.DictReader(file)}
    assert true == {n: ("angry", "neutral")[i % 2] for i, n in enumerate(CLIPS)}


def test_the_packaged_manifest_of_cremad_makes_the_same_rows(
    cremad: tuple[Path, Store, str], tmp_path: Path, fast: tuple[str, ...]
) -> None:
    """Its lines for these clips, prepared as a manifest, produce identical arrays."""
    root, store, _ = cremad
    packaged = Path(__file__).parents[2] / "data_manifests" / "cremad.csv"
    lines = packaged.read_text().splitlines()
    some = [line for line in lines if line.split(",")[0] in ("clip_id", *CLIPS)]
    lay(tmp_path, "some.csv", text="\n".join(some) + "\n")
    out = tmp_path / "store"
    words = (tmp_path / "some.csv", "--root", root, "--step", 3, "--out", out)
    run_here("mmder_prep", "manifest", *words, *fast)
    same = Store(out)
    for name in CLIPS:
        one, other = row_of(store, name), row_of(same, name)
        for array in ("frames", "mfcc_16", "window_8_s"):
            assert np.array_equal(store.read(array, one), same.read(array, other))


# IEMOCAP.

DIALOG = Synth(
    suffix="avi",
    video="mpeg4",
    audio="pcm_s16le",
    fps=RATE,
    duration_s=10.0,
    size_px=(192, 96),
    rate_hz=16_000,
)
RIGHT = 1000
"""Difference between the numbers in the right and in the left half."""
TURNS = {
    "Ses01F_impro01_F000": (2.0, 4.5, "neu", "left"),
    "Ses01F_impro01_M000": (3.5, 7.0, "exc", "right"),
    "Ses01F_impro01_F001": (8.0, 8.7, "sad", "left"),
    "Ses01F_impro01_M001": (11.5, 14.0, "ang", "right"),
    "Ses02M_impro01_F000": (0.5, 3.0, "hap", "right"),
    "Ses02M_impro01_M000": (1.25, 9.5, "neu", "left"),
}
"""Turns by name: start, stop, label, half of the image.

Two turns overlap, and one starts after the end of the video. In one dialog the man is
the marked actor.
"""
SILENT = "Ses01F_impro01_F001"
LATE = "Ses01F_impro01_M001"


def side_by_side(number: int) -> np.ndarray:
    width, height = DIALOG.size_px
    halves = [draw(n, (width // 2, height)) for n in (number, RIGHT + number)]
    return np.hstack(halves)


def voice(turn: str) -> Synth:
    """Return the design of a turn's own audio file."""
    start_s, stop_s, *_ = TURNS[turn]
    seed = 7 + list(TURNS).index(turn)
    return replace(WAV, duration_s=stop_s - start_s, seed=seed)


@pytest.fixture(scope="module")
def iemocap(
    tmp_path_factory: pytest.TempPathFactory, fast: tuple[str, ...]
) -> tuple[Store, str]:
    root = tmp_path_factory.mktemp("iemocap")
    for name in ("Ses01F_impro01", "Ses02M_impro01"):
        session = root / "IEMOCAP_full_release" / f"Session{name[4]}"
        avi = session / "dialog" / "avi" / "DivX" / name
        write(avi, DIALOG, paint=side_by_side)
        turns = {t: v for t, v in TURNS.items() if t.startswith(name)}
        text = evaluation(*((a, b, t, e) for t, (a, b, e, _) in turns.items()))
        lay(session, f"dialog/EmoEvaluation/{name}.txt", text=text)
        lay(session, f"dialog/avi/DivX/._{name}.avi")
        for turn in turns.keys() - {SILENT}:
            write(session / "sentences" / "wav" / name / turn, voice(turn))
    out = root / "store"
    words = ("--root", root, "--out", out, *fast, "--max-failed", 1)
    log = run_here("mmder_prep", "iemocap", *words).stderr
    return Store(out), log


@pytest.mark.parametrize("turn", [turn for turn in TURNS if turn != LATE])
def test_a_turn_of_iemocap_is_the_right_half_at_the_right_times(
    turn: str, iemocap: tuple[Store, str]
) -> None:
    """Frames and audio are those of the turn; the instants cover its whole length."""
    store, _ = iemocap
    row = row_of(store, turn)
    start_s, stop_s, _, half = TURNS[turn]
    assert (store.columns["status"][row], store.columns["clamped"][row]) == ("ok", 0)
    assert store.columns["speaker"][row] == turn[:5] + turn.rsplit("_", 1)[1][0]
    shown = numbers(store, row) - (RIGHT if half == "right" else 0)
    instants_s = store.read("window_16_s", row).mean(axis=1)
    assert np.abs(shown / float(RATE) - instants_s).max() <= 0.5 / float(RATE) + 0.001
    assert store.read("frame_time_s", row) == pytest.approx(shown / float(RATE))
    assert instants_s[0] == pytest.approx(start_s)
    step_s = store.columns["step_s"][row]
    assert step_s == pytest.approx((stop_s - start_s) / 16, rel=0.1)
    assert instants_s[-1] + step_s <= stop_s + 0.001
    own = turn != SILENT
    assert has_tones_of(store, row, voice(turn), at_s=start_s) == own
    assert has_tones_of(store, row, DIALOG, stop_s=stop_s) != own


def test_a_turn_of_iemocap_past_the_end_has_audio_but_no_video(
    iemocap: tuple[Store, str],
) -> None:
    store, log = iemocap
    row = row_of(store, LATE)
    assert store.columns["status"][row] == "no_video"
    assert "video: " in store.columns["reason"][row]
    assert has_tones_of(store, row, voice(LATE), at_s=TURNS[LATE][0])
    assert not store.read("frames", row).any()
    assert "6 turns from 2 of 151 dialogs of IEMOCAP" in log
    assert "1 turns have no wav file" in log
    assert "1 clips lack video or audio, or failed" in log


# MEAD.


def test_mead_is_prepared_from_its_folders(
    tmp_path: Path, fast: tuple[str, ...]
) -> None:
    """Only clips of one camera are read, with video and audio of the same file."""
    spec = Synth(fps=Fraction(30), size_px=(96, 64), rate_hz=48_000)
    takes = {
        "M003/video/front/angry/level_1/001": 0,
        "W009/video/front/neutral/level_1/040": 1,
        "W009/video/left_30/neutral/level_1/040": 2,
    }
    for path, seed in takes.items():
        write(tmp_path / "MEAD" / path, replace(spec, seed=seed))
    out = tmp_path / "store"
    run_here("mmder_prep", "mead", "--root", tmp_path / "MEAD", "--out", out, *fast)
    store = Store(out)
    assert list(store.columns["clip_id"]) == ["M003_angry_1_001", "W009_neutral_1_040"]
    assert list(store.columns["status"]) == ["ok", "ok"]
    assert list(store.columns["speaker"]) == ["M003", "W009"]
    for row in range(2):
        assert has_tones_of(store, row, replace(spec, seed=row))
        assert numbers(store, row) == pytest.approx(6 * np.arange(16), abs=1)
