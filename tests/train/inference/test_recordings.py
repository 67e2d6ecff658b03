"""Windows of long recordings: equal to clips, and told if something is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from crashing_jobs import CrashingSource
from mmder_prep.media.clip import Clip
from mmder_prep.media.source import Source
from mmder_train.inference.recordings import plan_recordings, prepare_recordings
from small_run import SmallRun, read_csv
from synth import Synth, write

Predict = Callable[..., Result]
pytestmark = pytest.mark.usefixtures("forked_workers")
LENGTH_S = 1.6
"""Length of the clips of the run: 16 frames that are 3 frames apart."""


def test_windows_have_the_probabilities_of_clips(
    small_run: SmallRun, tmp_path: Path, predict: Predict
) -> None:
    """The same parts are listed as clips in a CSV file. The last window is shorter."""
    path = write(tmp_path / "talk", Synth(duration_s=4.5, size_px=(96, 64)))
    words = ["--run", small_run.run_dir, "--strategy", "sfas"]
    done = predict(
        *(path, *words, "--every", 0.75, "--out", tmp_path / "windows.csv"),
        *("--timeline", tmp_path / "pictures"),
    )
    assert done.exit_code == 0, done.output
    assert "talk 0.8-2.4 s" in done.stdout
    windows = read_csv(tmp_path / "windows.csv")
    starts_s = [0.75 * k for k in range(5)]
    assert [float(w["start_s"]) for w in windows] == starts_s
    assert {w["clip"] for w in windows} == {"talk"}
    assert float(windows[-1]["stop_s"]) == pytest.approx(4.5, abs=0.05)
    assert "of the window's 1.60 s; the last frame is repeated" in windows[-1]["reason"]

    lines = [f"c{k},talk.mp4,{s},{s + LENGTH_S}" for k, s in enumerate(starts_s)]
    parts = tmp_path / "parts.csv"
    parts.write_text("\n".join(["clip_id,path,start_s,stop_s", *lines]))
    done = predict(parts, *words, "--out", tmp_path / "clips.csv")
    assert done.exit_code == 0, done.output
    for window, clip in zip(windows, read_csv(tmp_path / "clips.csv"), strict=True):
        for column in window:
            if column.startswith(("p_", "emotion")):
                assert window[column] == clip[column]
    names = {p.name for p in (tmp_path / "pictures").iterdir()}
    assert names == {"talk.png", "talk.svg", "talk.pdf"}


def test_a_window_without_audio_has_a_status(
    small_run: SmallRun, tmp_path: Path, predict: Predict
) -> None:
    spec = Synth(duration_s=4, sound_s=2, size_px=(96, 64))
    path = write(tmp_path / "talk", spec)
    words = [path, "--run", small_run.run_dir, "--strategy", "sfas", "--every", 1.2]
    done = predict(*words, "--out", tmp_path / "a.csv")
    assert done.exit_code == 3
    assert "1 of 3 windows could not be predicted: talk 2.4-4.0 s" in done.stderr
    rows = read_csv(tmp_path / "a.csv")
    assert [r["status"] for r in rows] == ["ok", "ok", "no_audio"]
    assert [r["emotion"] == "" for r in rows] == [False, False, True]
    assert [r["start_s"] for r in rows] == ["0.000", "1.200", "2.400"]
    done = predict(*words, "--allow-missing-modality", "--out", tmp_path / "b.csv")
    assert done.exit_code == 0, done.output
    assert [r["missing"] for r in read_csv(tmp_path / "b.csv")] == ["", "", "audio"]


def test_a_crash_of_the_decoder_ends_only_its_recording(
    small_run: SmallRun, tmp_path: Path
) -> None:
    """The last row of a recording states from when on it could not be decoded."""
    path = write(tmp_path / "talk", Synth(duration_s=2.5, size_px=(96, 64)))
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(b"no media" * 99)
    sources = [CrashingSource(Path("none")), Source(damaged), Source(path)]
    clips = [Clip(clip_id=f"r{k}", source=source) for k, source in enumerate(sources)]
    settings = small_run.load("sfas").prep_settings
    plans = plan_recordings(clips, settings, every_s=1.0)
    prepared = list(prepare_recordings(clips, plans, settings))
    assert [p.clip_id for p in prepared] == ["r0", "r1", "r2", "r2"]
    assert [p.status for p in prepared] == ["failed", "failed", "ok", "ok"]
    assert prepared[0].reason == "its decoder ended the process"
    assert "not readable as media" in prepared[1].reason
    assert prepared[0].window_s is not None
    assert prepared[0].window_s[0] == 0.0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--timeline", "t"), "--timeline: needs --every"),
        (("--window", "2"), "--window: needs --every"),
        (("--every", "1", "--explain", "maps"), "--explain: not with --every"),
        (("--every", "0"), "--every 0: expected 0.05 s or more"),
        (("--every", "1", "--window", "2"), "the run's clips are 1.6 s long"),
        (("--every", "1", "--seed", "9"), "seed 9"),
    ],
)
def test_impossible_options_are_one_line(
    small_run: SmallRun, predict: Predict, words: tuple[str, ...], text: str
) -> None:
    done = predict(
        small_run.media / "clip0.mp4",
        *("--run", small_run.run_dir, "--strategy", "sfas", *words),
    )
    assert done.exit_code == 1
    assert text in done.stderr.splitlines()[-1]
