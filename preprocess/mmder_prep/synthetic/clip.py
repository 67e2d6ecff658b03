"""Synthesis of one clip of the synthetic corpus, from its seed to its bytes.

The worker processes import only this module, so it must not import the store or other
heavy libraries.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from jaxtyping import Float

from mmder_prep.synthetic.appearance import (
    HEIGHT_PX,
    WIDTH_PX,
    Appearance,
    FaceTraits,
    draw_appearance,
    draw_face,
)
from mmder_prep.synthetic.face_motion import render_frames
from mmder_prep.synthetic.voice import (
    SAMPLE_RATE_HZ,
    draw_vocal_tract,
    draw_voice,
    loudness,
    synthesize_speech,
)
from mmder_store.atomic_files import atomic_write

FPS = Fraction(30000, 1001)
FRAMES = (93, 107)  # 3.10 to 3.57 s
STATE_STD = 0.35  # of the clips around their state; the states are 1 apart
# Equal input yields equal bytes; a fixed quantizer does not change static blocks.
H264 = {"preset": "ultrafast", "qp": "24", "threads": "1", "flags": "+bitexact"}
AAC = {"b": "128k", "aac_coder": "fast", "flags": "+bitexact"}
AAC_SAMPLES = 1024  # per AAC frame


@dataclass(frozen=True, kw_only=True, slots=True)
class Emotion:
    """One emotion of RAVDESS and its states in this corpus.

    Attributes:
        name: Name, as in RAVDESS.
        code: Third part of a RAVDESS file name.
        face: Face state: -1 down, 0 neutral, 1 up.
        voice: Voice state: -1 low, 0 medium, 1 high.
    """

    name: str
    code: int
    face: int
    voice: int


EMOTIONS = (
    Emotion(name="neutral", code=1, face=0, voice=0),
    Emotion(name="calm", code=2, face=0, voice=-1),
    Emotion(name="happy", code=3, face=1, voice=1),
    Emotion(name="sad", code=4, face=-1, voice=-1),
    Emotion(name="angry", code=5, face=-1, voice=1),
    Emotion(name="fearful", code=6, face=0, voice=1),
    Emotion(name="disgust", code=7, face=-1, voice=0),
    Emotion(name="surprised", code=8, face=1, voice=0),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clip:
    """Input of a clip; equal input yields equal bytes."""

    seed: int
    actor: int
    emotion: Emotion

    @property
    def path(self) -> Path:
        """Path relative to the root of the corpus."""
        code, actor = self.emotion.code, self.actor
        return Path(f"Actor_{actor:02}", f"01-01-{code:02}-01-01-01-{actor:02}.mp4")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClipContent:
    """Content of a clip before rendering."""

    appearance: Appearance
    face: FaceTraits
    audio: Float[np.ndarray, " time"]
    openness: Float[np.ndarray, " frame"]
    """Opening of the mouth in each frame, 0 to 1."""


def draw_content(clip: Clip) -> ClipContent:
    """Draw the content of a clip and synthesize its audio."""
    # The actor is drawn without the code of the emotion.
    actor_rng = np.random.default_rng([clip.seed, clip.actor, 0])
    appearance = draw_appearance(actor_rng, actor=clip.actor)
    vocal_tract = draw_vocal_tract(actor_rng, male=clip.actor % 2 == 1)
    rng = np.random.default_rng([clip.seed, clip.actor, clip.emotion.code])
    face = draw_face(rng, state=clip.emotion.face, std=STATE_STD)
    voice = draw_voice(rng, state=clip.emotion.voice, std=STATE_STD)
    n_frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    n_samples = round(n_frames * SAMPLE_RATE_HZ / FPS)
    audio = synthesize_speech(vocal_tract, voice, n_samples=n_samples, rng=rng)
    envelope = loudness(audio)
    samples = np.round(np.arange(n_frames) * float(SAMPLE_RATE_HZ / FPS)).astype(int)
    openness = envelope[samples] / envelope.max()
    return ClipContent(appearance=appearance, face=face, audio=audio, openness=openness)


def write_clip(out: Path, clip: Clip) -> None:
    """Write one clip to its file; the final name never holds a partial clip."""
    content = draw_content(clip)
    path = out / clip.path
    path.parent.mkdir(exist_ok=True)
    # A generator of its own, so that the head does not depend on draws of the voice.
    rng = np.random.default_rng([clip.seed, clip.actor, clip.emotion.code, 1])
    frames = render_frames(
        content.appearance,
        content.face,
        openness=content.openness,
        fps=float(FPS),
        rng=rng,
    )
    with atomic_write(path) as part:
        _encode(part, frames, content.audio)


def _encode(
    path: Path, frames: Iterator[np.ndarray], audio: Float[np.ndarray, " time"]
) -> None:
    """Write I420 frames as H.264, and mono audio as stereo AAC."""
    with av.open(
        str(path), "w", format="mp4", options={"fflags": "+bitexact"}
    ) as container:
        video_stream = container.add_stream("libx264", rate=FPS, options=H264)
        video_stream.width, video_stream.height = WIDTH_PX, HEIGHT_PX
        video_stream.pix_fmt = "yuv420p"
        audio_stream = container.add_stream(
            "aac", rate=SAMPLE_RATE_HZ, layout="stereo", options=AAC
        )
        for pts, planes in enumerate(frames):
            # The encoder copies the buffer immediately.
            frame = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
            frame.pts, frame.time_base = pts, 1 / FPS
            container.mux(video_stream.encode(frame))
        container.mux(video_stream.encode(None))
        stereo = np.tile(audio.astype(np.float32), (2, 1))
        for start in range(0, stereo.shape[1], AAC_SAMPLES):
            block = np.ascontiguousarray(stereo[:, start : start + AAC_SAMPLES])
            audio_frame = av.AudioFrame.from_ndarray(
                block, format="fltp", layout="stereo"
            )
            audio_frame.sample_rate, audio_frame.pts = SAMPLE_RATE_HZ, start
            audio_frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
            container.mux(audio_stream.encode(audio_frame))
        container.mux(audio_stream.encode(None))
