"""The store, format 6: which arrays it has and what every number in them means.

README's table is made from `table()`. Whoever changes the bytes that a clip
leaves in the store raises FORMAT_VERSION.
"""

from dataclasses import dataclass
from typing import Literal

from mmder_store.settings import FRAME_PX, FRAMES_8, FRAMES_16, PrepSettings

FORMAT_VERSION = 6
SHARD_CLIPS = 16
STATUSES = ("ok", "no_face", "no_audio", "no_video", "failed")
"""What became of a clip; the first that applies from the right is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ArraySpec:
    """One array of the store, one row a clip."""

    name: str
    dims: tuple[str, ...]
    """Dimension names, as xarray shows them; the first is the clip."""
    dtype: str
    unit: str
    meaning: str
    picture: bool = False
    """Made from pictures: absent from a store of sound alone."""
    heavy: bool = False
    """Chunked clip by clip inside a shard; else one chunk holds the shard."""
    codec: Literal["none", "zstd"] = "zstd"
    """How it is compressed. LZ4 would make faces a sixth smaller and their reading up
    to three times as long; cepstra are a fiftieth of a clip; spectra become 40 %
    smaller for a tenth of a millisecond (benchmarks/store_codecs.py)."""


ARRAYS = (
    ArraySpec(
        name="frames",
        dims=("clip", "frame", "y", "x", "rgb"),
        dtype="uint8",
        unit="sRGB",
        meaning="face crops at the 16-frame step; every second one is the 8-frame step",
        picture=True,
        heavy=True,
        codec="none",
    ),
    ArraySpec(
        name="stft_16",
        dims=("clip", "window_16", "frequency", "time_16"),
        dtype="float16",
        unit="dB",
        meaning="log magnitude of the sound around each of 16 frames (T-1 to T+1)",
        heavy=True,
    ),
    ArraySpec(
        name="stft_8",
        dims=("clip", "window_8", "frequency", "time_8"),
        dtype="float16",
        unit="dB",
        meaning="the same around each of 8 frames, windows twice as long",
        heavy=True,
    ),
    ArraySpec(
        name="mfcc_16",
        dims=("clip", "window_16", "coefficient", "time_16"),
        dtype="float16",
        unit="dB",
        meaning="mel-frequency cepstrum of the same sound as stft_16",
        heavy=True,
        codec="none",
    ),
    ArraySpec(
        name="mfcc_8",
        dims=("clip", "window_8", "coefficient", "time_8"),
        dtype="float16",
        unit="dB",
        meaning="mel-frequency cepstrum of the same sound as stft_8",
        heavy=True,
        codec="none",
    ),
    ArraySpec(
        name="frame_time_s",
        dims=("clip", "frame"),
        dtype="float64",
        unit="s",
        meaning="presentation time of each frame taken",
        picture=True,
    ),
    ArraySpec(
        name="window_16_s",
        dims=("clip", "window_16", "bound"),
        dtype="float64",
        unit="s",
        meaning="half-open bounds of each of the 16 sound windows",
    ),
    ArraySpec(
        name="window_8_s",
        dims=("clip", "window_8", "bound"),
        dtype="float64",
        unit="s",
        meaning="half-open bounds of each of the 8 sound windows",
    ),
    ArraySpec(
        name="face_box_px",
        dims=("clip", "frame", "edge"),
        dtype="float32",
        unit="px",
        meaning="crop taken: left, top, right, bottom in the displayed source picture",
        picture=True,
    ),
    ArraySpec(
        name="face_score",
        dims=("clip", "frame"),
        dtype="float32",
        unit="1",
        meaning="score of the face detector; NaN where the box was interpolated",
        picture=True,
    ),
)

COLUMNS = tuple(
    ArraySpec(name=name, dims=("clip",), dtype=dtype, unit=unit, meaning=meaning)
    for name, dtype, unit, meaning in (
        ("clip_id", "str", "", "name of the clip, unique in the store"),
        (
            "speaker",
            "str",
            "",
            "who speaks; no speaker is ever on both sides of a fold",
        ),
        ("emotion", "str", "", "the corpus' own word; empty where it gives none"),
        ("rated_voice", "str", "", "emotion that most raters heard in the voice alone"),
        ("rated_face", "str", "", "emotion that most raters saw in the face alone"),
        ("rated_both", "str", "", "emotion that most raters found in both together"),
        ("note", "str", "", "what the corpus is known to have wrong in this clip"),
        ("status", "str", "", f"one of {', '.join(STATUSES)}"),
        ("reason", "str", "", "why the status is not ok, or what was odd"),
        ("source_sha256", "str", "", "hash of the media file"),
        ("sound_sha256", "str", "", "hash of the sound's own file, where it has one"),
        ("media_start_s", "float64", "s", "zero of all times, on the file's own clock"),
        ("start_s", "float64", "s", "time of the first frame taken"),
        ("stop_s", "float64", "s", "end of the clip's last picture, or of its part"),
        ("step_s", "float64", "s", "step of the 16 frames"),
        ("picture_start_s", "float64", "s", "time of the first picture"),
        ("sound_start_s", "float64", "s", "time of the first sample"),
        ("clamped", "int16", "frames", "frames repeated since the clip ended earlier"),
        ("faces_searched", "int16", "frames", "frames in which a face was looked for"),
        ("faces_found", "int16", "frames", "frames in which the face was detected"),
        ("picture_fps", "float32", "1/s", "median rate of the pictures decoded"),
        ("picture_width_px", "int32", "px", "width of the displayed picture"),
        ("picture_height_px", "int32", "px", "height of the displayed picture"),
        ("sound_rate_hz", "int32", "Hz", "sampling rate in the file"),
        ("sound_channels", "int16", "", "channels in the file, mixed to one"),
        ("sound_rms_db", "float32", "dB", "level of the sound, full scale is 0"),
        ("silence", "float32", "1", "share of 20 ms blocks below -60 dB full scale"),
        ("decode_errors", "int32", "packets", "damaged packets passed over"),
    )
)
"""Columns that `seal` writes, one value a clip; NaN or -1 where unknown."""


def arrays_of(settings: PrepSettings) -> tuple[ArraySpec, ...]:
    """List the arrays that a store of these settings has."""
    return tuple(a for a in ARRAYS if settings.modality == "av" or not a.picture)


def sizes(settings: PrepSettings) -> dict[str, int]:
    """Give the length of every dimension but the clip."""
    return {
        "frame": FRAMES_16,
        "y": FRAME_PX,
        "x": FRAME_PX,
        "rgb": 3,
        "window_16": FRAMES_16,
        "window_8": FRAMES_8,
        "frequency": settings.fft_samples // 2 + 1,
        "coefficient": settings.mfccs,
        "time_16": settings.columns(FRAMES_16),
        "time_8": settings.columns(FRAMES_8),
        "bound": 2,
        "edge": 4,
    }


def shape_of(spec: ArraySpec, settings: PrepSettings) -> tuple[int, ...]:
    """Give the shape of one clip's row of an array."""
    size = sizes(settings)
    return tuple(size[d] for d in spec.dims[1:])


def table() -> str:
    """Write the arrays and columns of a store as a Markdown table."""
    size = sizes(PrepSettings())
    rows = ["| array | dims | dtype | unit | meaning |", "|---|---|---|---|---|"]
    for a in ARRAYS + COLUMNS:
        dims = ", ".join(f"{d} {size[d]}" if d in size else d for d in a.dims)
        rows.append(f"| `{a.name}` | {dims} | {a.dtype} | {a.unit} | {a.meaning} |")
    return "\n".join(rows)
