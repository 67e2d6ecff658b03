"""Synthetic clips: reproducible bytes, light workers, and ambiguous modalities."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from mmder_prep.synthetic.clip import (
    EMOTIONS,
    Clip,
    draw_content,
    write_clip,
)
from mmder_prep.synthetic.voice import SAMPLE_RATE_HZ, loudness


def test_equal_seeds_yield_equal_bytes_in_any_process(
    corpus: Path, tmp_path: Path
) -> None:
    for emotion in (EMOTIONS[0], EMOTIONS[-1]):  # from the first and the second run
        clip = Clip(seed=0, actor=1, emotion=emotion)
        write_clip(tmp_path, clip)
        assert (tmp_path / clip.path).read_bytes() == (corpus / clip.path).read_bytes()


def test_another_seed_yields_another_clip() -> None:
    one, other = (
        draw_content(Clip(seed=seed, actor=1, emotion=EMOTIONS[0])) for seed in (0, 1)
    )
    assert one.appearance != other.appearance
    assert one.face != other.face
    assert not np.array_equal(one.audio[:48000], other.audio[:48000])


def test_workers_import_no_heavy_library() -> None:
    code = (
        "import sys; from mmder_prep.synthetic.clip import *; "
        "content = draw_content(Clip(seed=0, actor=1, emotion=EMOTIONS[0])); "
        "next(render_frames(content.appearance, content.face, "
        "openness=content.openness, fps=30, rng=np.random.default_rng())); "
        "print(*sys.modules)"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    loaded = subprocess.check_output([sys.executable, "-c", code], env=env, text=True)
    assert "cv2" in loaded.split()
    assert not {"torch", "scipy", "zarr", "dask"} & set(loaded.split())


def test_neither_video_nor_audio_distinguishes_all_emotions() -> None:
    assert len({(e.face, e.voice) for e in EMOTIONS}) == len(EMOTIONS) == 8
    assert set(Counter(e.face for e in EMOTIONS).values()) == {2, 3}
    assert set(Counter(e.voice for e in EMOTIONS).values()) == {2, 3}


def test_the_content_is_quiet_at_both_ends_and_has_noise_everywhere() -> None:
    content = draw_content(Clip(seed=3, actor=2, emotion=EMOTIONS[4]))
    edge, level = SAMPLE_RATE_HZ // 20, loudness(content.audio)
    assert max(level[:edge].max(), level[-edge:].max()) < 0.05 * level.max()
    assert np.abs(content.audio).max() < 1
    assert (level[edge:-edge] > 0).all()
    assert 0 <= content.openness.min() < 0.05
    assert 0.9 < content.openness.max() <= 1
