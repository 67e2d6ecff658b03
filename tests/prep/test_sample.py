import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mmder_prep.faces.mtcnn import detect
from mmder_prep.synthetic.appearance import draw_face, draw_look
from mmder_prep.synthetic.clip import (
    EMOTIONS,
    FPS,
    SPREAD,
    Clip,
    write_clip,
    write_script,
)
from mmder_prep.synthetic.corpus import write_sample
from mmder_prep.synthetic.face_motion import film
from mmder_prep.synthetic.voice import RATE_HZ, Throat, draw_voice, loudness, speak
from mmder_store.errors import SettingsError

ENV = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
RUN = """
import sys
from pathlib import Path
from mmder_prep.synthetic.corpus import write_sample
write_sample(Path(sys.argv[1]), actors=1, workers=2)
"""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One actor, written in two runs: Ctrl-C stops the first at its first clip."""
    root = tmp_path_factory.mktemp("sample") / "deep" / "corpus"
    with subprocess.Popen(
        [sys.executable, "-c", RUN, str(root)],
        env=ENV,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, as a terminal gives it
    ) as run:
        until = time.monotonic() + 60
        while not list(root.rglob("*.mp4")) and time.monotonic() < until:
            time.sleep(0.005)
        os.killpg(run.pid, signal.SIGINT)
        _, errors = run.communicate(timeout=30)
    assert run.returncode != 0
    assert errors.count("Traceback") == 1, errors
    assert errors.rstrip().endswith("KeyboardInterrupt")
    clips = list(root.rglob("*.mp4"))
    assert 1 <= len(clips) < len(EMOTIONS)
    assert not list(root.rglob(".*"))
    before = {clip: (clip.stat().st_mtime_ns, clip.read_bytes()) for clip in clips}

    done: list[tuple[int, int]] = []
    summary = write_sample(
        root, actors=1, workers=2, progress=lambda *now: done.append(now)
    )
    assert (summary.clips, summary.kept) == (8, len(clips))
    assert summary.written == 8 - len(clips)
    assert done == [(n, 8) for n in range(len(clips) + 1, 9)]
    assert before == {c: (c.stat().st_mtime_ns, c.read_bytes()) for c in clips}
    return root


def decode(path: Path) -> tuple[list[np.ndarray], np.ndarray]:
    with av.open(str(path)) as container:
        pictures = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        sound = [f.to_ndarray() for f in container.decode(audio=0)]
    return pictures, np.concatenate(sound, axis=1)


def test_files_are_what_they_claim_to_be(corpus: Path) -> None:
    names = sorted(p.relative_to(corpus).as_posix() for p in corpus.rglob("*.mp4"))
    assert names == [f"Actor_01/01-01-0{e}-01-01-01-01.mp4" for e in range(1, 9)]
    assert "generated" in (corpus / "SAMPLE.txt").read_text()
    for name in names:
        with av.open(str(corpus / name)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec.name, video.width, video.height) == ("h264", 1280, 720)
            assert video.average_rate == FPS
            assert video.pix_fmt == "yuv420p"
            assert 93 <= video.frames <= 107
            heard = (audio.codec.name, audio.rate, audio.channels)
            assert heard == ("aac", 48000, 2)
    pictures, sound = decode(corpus / names[0])
    assert 93 <= len(pictures) <= 107
    seconds = len(pictures) / float(FPS)
    assert sound.shape[1] / RATE_HZ == pytest.approx(seconds, abs=1024 / RATE_HZ)


def test_same_seed_same_bytes_in_whatever_process(corpus: Path, tmp_path: Path) -> None:
    for emotion in (EMOTIONS[0], EMOTIONS[-1]):  # of the first run, of the second
        clip = Clip(seed=0, actor=1, emotion=emotion)
        write_clip(tmp_path, clip)
        assert (tmp_path / clip.path).read_bytes() == (corpus / clip.path).read_bytes()


def test_another_seed_gives_another_clip() -> None:
    one, other = (
        write_script(Clip(seed=seed, actor=1, emotion=EMOTIONS[0])) for seed in (0, 1)
    )
    assert one.look != other.look
    assert one.face != other.face
    assert not np.array_equal(one.sound[:48000], other.sound[:48000])


def test_the_detector_finds_exactly_the_face(corpus: Path) -> None:
    for path in corpus.rglob("*.mp4"):
        with av.open(str(path)) as container:
            frames = [*container.decode(video=0)][::45]
        pictures = [frame.to_ndarray(format="rgb24") for frame in frames]
        small = [cv2.resize(p, (320, 180)) for p in pictures]
        for found in detect(small, min_face_px=32, device="cpu"):
            assert len(found.scores) == 1
            assert found.scores[0] > 0.9
            assert 45 < found.boxes_px[0, 2] - found.boxes_px[0, 0] < 75


def test_the_mouth_follows_the_sound(corpus: Path) -> None:
    clip = Clip(seed=0, actor=1, emotion=EMOTIONS[3])
    pictures, sound = decode(corpus / clip.path)
    x, y = np.rint(write_script(clip).look.place_px).astype(int)
    mouth = np.s_[y + 35 : y + 110, x - 55 : x + 55]
    dark = [(picture[mouth].max(axis=-1) < 90).sum() for picture in pictures]
    at = np.round(np.arange(len(dark)) * float(RATE_HZ / FPS)).astype(int)
    heard = loudness(sound.mean(axis=0))
    assert np.corrcoef(dark, heard[np.minimum(at, len(heard) - 1)])[0, 1] > 0.7


def test_workers_load_no_heavy_library() -> None:
    code = (
        "import sys; from mmder_prep.synthetic.clip import *; "
        "script = write_script(Clip(seed=0, actor=1, emotion=EMOTIONS[0])); "
        "next(film(script.look, script.face, openness=script.openness, fps=30, "
        "rng=np.random.default_rng())); print(*sys.modules)"
    )
    loaded = subprocess.check_output([sys.executable, "-c", code], env=ENV, text=True)
    assert "cv2" in loaded.split()
    assert not {"torch", "scipy", "zarr", "dask"} & set(loaded.split())


@pytest.mark.parametrize("changed", [{"seed": 1}, {"actors": 2}])
def test_another_sample_is_refused(corpus: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"found .*; expected .*--out") as caught:
        write_sample(corpus, **({"actors": 1, "seed": 0} | changed))
    assert "\n" not in str(caught.value)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(SettingsError, match=r"other files and no SAMPLE\.txt"):
        write_sample(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("wrong", [{"actors": 0}, {"actors": 25}, {"workers": 0}])
def test_impossible_settings_are_refused(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="expected 1 to 24 actors"):
        write_sample(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_neither_picture_nor_sound_tells_all_emotions_apart() -> None:
    assert len({(e.face, e.voice) for e in EMOTIONS}) == len(EMOTIONS) == 8
    assert set(Counter(e.face for e in EMOTIONS).values()) == {2, 3}
    assert set(Counter(e.voice for e in EMOTIONS).values()) == {2, 3}


@pytest.mark.parametrize(
    ("draw", "trait"),
    [(draw_face, "smile"), (draw_face, "brow"), (draw_voice, "raise_semitones")],
)
def test_states_differ_and_overlap(draw: Callable[..., object], trait: str) -> None:
    rng = np.random.default_rng(0)
    low, mid, high = (
        np.array(
            [getattr(draw(rng, state=state, spread=SPREAD), trait) for _ in range(300)]
        )
        for state in (-1, 0, 1)
    )
    for one, next_one in ((low, mid), (mid, high)):
        scatter = np.hypot(one.std(), next_one.std()) / np.sqrt(2)
        assert 1.5 < (next_one.mean() - one.mean()) / scatter < 4
        assert next_one.min() < one.max()


def test_the_states_of_the_voice_are_heard() -> None:
    pitches_hz, levels = [], []
    for state in (-1, 0, 1):
        rng = np.random.default_rng(0)
        throat = Throat(pitch_hz=120, formant_scale=1)
        traits = draw_voice(rng, state=state, spread=0)
        sound = speak(throat, traits, n_samples=3 * RATE_HZ, rng=rng)
        levels.append(np.sqrt(np.mean(sound**2)))
        frames = sound[: len(sound) // 4800 * 4800].reshape(-1, 4800)
        loud = frames[np.argsort((frames**2).sum(axis=1))[-8:]]
        echo = np.fft.irfft(np.abs(np.fft.rfft(loud, 16384)) ** 2)[:, 120:960]
        pitches_hz.append(np.median(RATE_HZ / (120 + echo.argmax(axis=1))))
    assert pitches_hz[0] < pitches_hz[1] / 1.1 < pitches_hz[2] / 1.2
    assert levels[0] < levels[1] / 1.3 < levels[2] / 1.6


def test_the_script_is_quiet_at_both_ends_and_noisy_everywhere() -> None:
    script = write_script(Clip(seed=3, actor=2, emotion=EMOTIONS[4]))
    edge, level = RATE_HZ // 20, loudness(script.sound)
    assert max(level[:edge].max(), level[-edge:].max()) < 0.05 * level.max()
    assert np.abs(script.sound).max() < 1
    assert (level[edge:-edge] > 0).all()
    assert 0 <= script.openness.min() < 0.05
    assert 0.9 < script.openness.max() <= 1


def test_loudness_is_the_root_mean_square_about_each_sample() -> None:
    sound = np.random.default_rng(0).normal(size=6000)
    level = loudness(sound)
    assert len(level) == 6000
    for at in (0, 3000, 5999):
        near = sound[max(0, at - 1200) : at + 1200]
        assert level[at] == pytest.approx(np.sqrt((near**2).sum() / 2400))


def test_only_the_head_moves() -> None:
    rng = np.random.default_rng(0)
    look = draw_look(rng, actor=1)
    face = draw_face(rng, state=0, spread=0)
    shut, opened = (
        f.copy()
        for f in film(look, face, openness=np.array([0.0, 1.0]), fps=30, rng=rng)
    )
    moved = shut[:720] != opened[:720]
    assert moved.any()
    assert not moved[:, :300].any()
    assert not moved[600:].any()
