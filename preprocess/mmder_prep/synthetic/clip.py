"""One clip of the sample corpus: from its seed to its bytes.

The workers of the pool load this module and no more, so it stays clear of the store.
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
    FaceTraits,
    Look,
    draw_face,
    draw_look,
)
from mmder_prep.synthetic.face_motion import film
from mmder_prep.synthetic.voice import RATE_HZ, draw_throat, draw_voice, loudness, speak
from mmder_store.atomic_files import atomic_write

FPS = Fraction(30000, 1001)
FRAMES = (93, 107)  # 3.10 to 3.57 s
SPREAD = 0.35  # of a clip about its state; the states are 1 apart
# The same input gives the same bytes; a fixed quantiser leaves still blocks alone.
H264 = {"preset": "ultrafast", "qp": "24", "threads": "1", "flags": "+bitexact"}
AAC = {"b": "128k", "aac_coder": "fast", "flags": "+bitexact"}
AAC_SAMPLES = 1024  # a frame


@dataclass(frozen=True, kw_only=True, slots=True)
class Emotion:
    """One emotion of RAVDESS, as this corpus shows it.

    Attributes:
        name: As in RAVDESS.
        code: The third part of a RAVDESS file name.
        face: -1 down, 0 mid, 1 up.
        voice: -1 low, 0 mid, 1 high.
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
    """All that a clip is made from; the same clip gives the same bytes."""

    seed: int
    actor: int
    emotion: Emotion

    @property
    def path(self) -> Path:
        """The file below the root of the corpus."""
        code, actor = self.emotion.code, self.actor
        return Path(f"Actor_{actor:02}", f"01-01-{code:02}-01-01-01-{actor:02}.mp4")


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """A clip before it is filmed: the sound, and the mouth that goes with it."""

    look: Look
    face: FaceTraits
    sound: Float[np.ndarray, " time"]
    openness: Float[np.ndarray, " frame"]


def write_script(clip: Clip) -> Script:
    """Draw a clip and synthesise its sound."""
    actor = np.random.default_rng([clip.seed, clip.actor, 0])  # no emotion's code
    look = draw_look(actor, actor=clip.actor)
    throat = draw_throat(actor, male=clip.actor % 2 == 1)
    rng = np.random.default_rng([clip.seed, clip.actor, clip.emotion.code])
    face = draw_face(rng, state=clip.emotion.face, spread=SPREAD)
    voice = draw_voice(rng, state=clip.emotion.voice, spread=SPREAD)
    n_frames = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    n_samples = round(n_frames * RATE_HZ / FPS)
    sound = speak(throat, voice, n_samples=n_samples, rng=rng)
    envelope = loudness(sound)
    at = np.round(np.arange(n_frames) * float(RATE_HZ / FPS)).astype(int)
    openness = envelope[at] / envelope.max()
    return Script(look=look, face=face, sound=sound, openness=openness)


def write_clip(out: Path, clip: Clip) -> None:
    """Film one clip into its file; the final name only ever holds a whole clip."""
    script = write_script(clip)
    path = out / clip.path
    path.parent.mkdir(exist_ok=True)
    # A stream of its own, so that the head's movement is free of the voice's draws.
    rng = np.random.default_rng([clip.seed, clip.actor, clip.emotion.code, 1])
    pictures = film(
        script.look, script.face, openness=script.openness, fps=float(FPS), rng=rng
    )
    with atomic_write(path) as part:
        _encode(part, pictures, script.sound)


def _encode(
    path: Path, pictures: Iterator[np.ndarray], sound: Float[np.ndarray, " time"]
) -> None:
    """Write I420 pictures as H.264, and the sound twice as stereo AAC."""
    with av.open(
        str(path), "w", format="mp4", options={"fflags": "+bitexact"}
    ) as container:
        video = container.add_stream("libx264", rate=FPS, options=H264)
        video.width, video.height, video.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="stereo", options=AAC)
        for pts, planes in enumerate(pictures):
            # The encoder copies the buffer at once.
            frame = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")
            frame.pts, frame.time_base = pts, 1 / FPS
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        stereo = np.tile(sound.astype(np.float32), (2, 1))
        for start in range(0, stereo.shape[1], AAC_SAMPLES):
            piece = np.ascontiguousarray(stereo[:, start : start + AAC_SAMPLES])
            heard = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            heard.sample_rate, heard.pts = RATE_HZ, start
            heard.time_base = Fraction(1, RATE_HZ)
            container.mux(audio.encode(heard))
        container.mux(audio.encode(None))
