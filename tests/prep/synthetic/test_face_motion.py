"""Motion of the synthetic faces: the mouth follows the audio, the rest is still."""

from pathlib import Path

import av
import numpy as np

from mmder_prep.synthetic.appearance import draw_appearance, draw_face
from mmder_prep.synthetic.clip import EMOTIONS, FPS, Clip, draw_content
from mmder_prep.synthetic.face_motion import render_frames
from mmder_prep.synthetic.voice import SAMPLE_RATE_HZ, loudness


def test_the_mouth_follows_the_audio(corpus: Path) -> None:
    clip = Clip(seed=0, actor=1, emotion=EMOTIONS[3])
    with av.open(str(corpus / clip.path)) as container:
        images = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    with av.open(str(corpus / clip.path)) as container:
        blocks = [f.to_ndarray() for f in container.decode(audio=0)]
    audio = np.concatenate(blocks, axis=1)
    x, y = np.rint(draw_content(clip).appearance.face_center_px).astype(int)
    mouth = np.s_[y + 35 : y + 110, x - 55 : x + 55]
    dark = [(image[mouth].max(axis=-1) < 90).sum() for image in images]
    samples = np.round(np.arange(len(dark)) * float(SAMPLE_RATE_HZ / FPS)).astype(int)
    level = loudness(audio.mean(axis=0))
    assert np.corrcoef(dark, level[np.minimum(samples, len(level) - 1)])[0, 1] > 0.7


def test_only_the_head_moves() -> None:
    rng = np.random.default_rng(0)
    appearance = draw_appearance(rng, actor=1)
    face = draw_face(rng, state=0, std=0)
    frames = render_frames(
        appearance, face, openness=np.array([0.0, 1.0]), fps=30, rng=rng
    )
    closed, opened = (frame.copy() for frame in frames)
    moved = closed[:720] != opened[:720]
    assert moved.any()
    assert not moved[:, :300].any()
    assert not moved[600:].any()
