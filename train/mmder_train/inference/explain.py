"""What a prediction rests on, as a picture: the encoder's input, and what hiding does.

One PNG a clip. Red is what speaks for the emotion, blue what speaks against it.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

from mmder_store.atomic_files import atomic_write
from mmder_store.errors import SettingsError
from mmder_store.settings import digest
from mmder_train.fusion.fuse import frame_permutations
from mmder_train.inference.occlusion import (
    BLOCKS,
    Kind,
    OcclusionMap,
    compute_occlusion_map,
)
from mmder_train.inference.predictor import arrays_to_batch
from mmder_train.inference.preprocessing import PreparedClip
from mmder_train.inference.trained_run import TrainedRun
from mmder_train.runtime.device import ENCODE_BATCH_SIZE

if TYPE_CHECKING:
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

MIN_IMPORTANCE = 0.001
"""Half of the colour bar, at least: rounding is not blown up to all colours."""
STRONGEST = 0.7
"""How much of the picture the strongest colour covers."""
SIDE_IN, GAP = 1.1, 0.05
"""Side of one picture, and the share of it between two."""
ABOVE_IN, BELOW_IN, LEFT_IN, RIGHT_IN = 1.15, 0.12, 0.4, 1.1
"""Around the pictures: title and times, nothing, names of rows, colour bar."""
NAME_CHARS = 100
TITLE_CHARS = 60


def create_image_dir(folder: Path) -> Path:
    """Make the folder for pictures.

    Raises:
        SettingsError: If a file is called so.
    """
    if folder.exists() and not folder.is_dir():
        msg = f"--explain {folder}: is a file; expected a folder for pictures"
        raise SettingsError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def draw_explanation(
    clip: PreparedClip, kept: TrainedRun, *, folder: Path, detail: str
) -> str:
    """Measure what a clip's prediction rests on, draw it, and tell it in a line.

    Args:
        clip: One that the strategy can use.
        kept: The models; the mean of their probabilities is measured.
        folder: Where the PNG goes, under the clip's name.
        detail: Row of `occlusion.BLOCKS`.
    """
    found = compute_occlusion_map(
        arrays_to_batch([clip], kept),
        frame_permutations([clip.clip_id], seed=kept.seed),
        kept.probabilities,
        strategy=kept.strategy,
        look=kept.render_settings,
        block=BLOCKS[detail],
        batch=ENCODE_BATCH_SIZE[kept.device.type],
    )
    line = f"{clip.clip_id}: {_headline(found, kept.classes)}; {_shares(found, kept)}"
    with atomic_write(folder / f"{file_name(clip.clip_id)}.png") as draft:
        figure = _figure(clip, kept, found)
        figure.savefig(draft, format="png", dpi=110)
    return line


def file_name(clip_id: str) -> str:
    """Name a file after a clip, whatever characters it has; no two alike."""
    plain = re.sub(r"[^\w.-]+", "_", clip_id, flags=re.ASCII).lstrip(".")
    if plain == clip_id and len(plain) <= NAME_CHARS:
        return plain
    return f"{plain[:NAME_CHARS]}-{digest(clip_id)[:8]}"


def _headline(found: OcclusionMap, classes: Sequence[str]) -> str:
    return f"{classes[found.best]} {found.probability[found.best]:.1%}"


def _shares(found: OcclusionMap, kept: TrainedRun) -> str:
    """Tell what of the effect lies on picture and what on sound."""
    emotion = kept.classes[found.best]
    if len(found.contribution) == 1:
        ((kind, p),) = found.ablated.items()
        return f"{emotion} {p:.1%} with the whole {kind} hidden"
    shares = ", ".join(
        f"{kind} {share:.0%}" for kind, share in found.contribution.items()
    )
    hidden = ", ".join(f"{p:.1%} without any {k}" for k, p in found.ablated.items())
    return f"of the effect: {shares}; {emotion} {hidden}"


def _figure(clip: PreparedClip, kept: TrainedRun, found: OcclusionMap) -> "Figure":
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    limit = max(
        MIN_IMPORTANCE,
        *(float(m.nan_to_num().abs().max()) for m in found.importance.values()),
    )
    rows = _rows(found)
    count = len(found.input_image)
    across, down = (SIDE_IN * (n + GAP * (n - 1)) for n in (count, 1 + len(rows)))
    wide, high = LEFT_IN + across + RIGHT_IN, ABOVE_IN + down + BELOW_IN
    figure = Figure(figsize=(wide, high))
    FigureCanvasAgg(figure)
    axes = figure.subplots(
        *(1 + len(rows), count),
        squeeze=False,
        gridspec_kw={
            "left": LEFT_IN / wide,
            "right": 1 - RIGHT_IN / wide,
            "top": 1 - ABOVE_IN / high,
            "bottom": BELOW_IN / high,
            "wspace": GAP,
            "hspace": GAP,
        },
    )
    labels = _labels(clip, kept, found)
    colours = colormaps["RdBu_r"]
    for place in range(count):
        seen = found.input_image[place].numpy()
        axes[0, place].imshow(seen)
        axes[0, place].set_title(labels[place], fontsize=8, pad=3)
        for row, (_, drop) in enumerate(rows, start=1):
            axes[row, place].imshow(_painted(seen, drop[place], limit, colours))
    for one in axes.flat:
        one.set_xticks([])
        one.set_yticks([])
        one.spines[:].set_visible(False)
    axes[0, 0].set_ylabel("input", fontsize=9)
    for row, (name, _) in enumerate(rows, start=1):
        axes[row, 0].set_ylabel(name, fontsize=9)
    _write_titles(figure, clip, kept, found)
    bar = figure.colorbar(
        ScalarMappable(norm=Normalize(-100 * limit, 100 * limit), cmap=colours),
        cax=figure.add_axes(
            (1 - 0.9 * RIGHT_IN / wide, BELOW_IN / high, 0.12 / wide, down / high)
        ),
    )
    bar.set_label(
        f"drop of {kept.classes[found.best]} where this\nis hidden, percentage points",
        fontsize=8,
    )
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return figure


def _write_titles(
    figure: "Figure", clip: PreparedClip, kept: TrainedRun, found: OcclusionMap
) -> None:
    order = np.argsort(found.probability)[::-1][1:4]
    others = ", ".join(
        f"{kept.classes[i]} {found.probability[i]:.1%}" for i in order.tolist()
    )
    name = clip.clip_id
    name = name if len(name) <= TITLE_CHARS else f"...{name[-TITLE_CHARS:]}"
    lines = (
        (f"{name}: {_headline(found, kept.classes)}", 13, "bold"),
        (
            f"then {others}   |   {kept.strategy.name}, {kept.folds_text()}",
            10,
            "normal",
        ),
        (_shares(found, kept), 10, "normal"),
    )
    height = figure.get_figheight()
    for number, (text, size, weight) in enumerate(lines):
        figure.text(
            LEFT_IN / figure.get_figwidth(),
            1 - (0.12 + 0.25 * number) / height,
            # A dollar sign in a name is a dollar sign.
            text.replace("$", r"\$"),
            fontsize=size,
            fontweight=weight,
            va="top",
        )


def _rows(
    found: OcclusionMap,
) -> list[tuple[str, Float[np.ndarray, "frame height width"]]]:
    """Give the maps to draw: one where picture and sound lie apart, else one each."""
    maps = {kind: drop.numpy() for kind, drop in found.importance.items()}
    both = np.stack(list(maps.values()))
    if (np.isfinite(both).sum(0) <= 1).all():
        return [("hidden", np.nansum(both, axis=0))]
    return [(f"{kind} hidden", drop) for kind, drop in maps.items()]


def _painted(
    seen: UInt8[np.ndarray, "height width 3"],
    drop: Float[np.ndarray, "height width"],
    limit: float,
    colours: "Colormap",
) -> Float[np.ndarray, "height width 3"]:
    """Lay the map over a grey copy, the more so the stronger it is."""
    grey = (seen.astype(float) @ (0.299, 0.587, 0.114) / 255)[..., None]
    part = np.nan_to_num(drop) / limit
    cover = STRONGEST * np.sqrt(np.abs(part))[..., None]
    painted = np.asarray(colours((1 + part) / 2))[..., :3]
    return np.asarray(grey * (1 - cover) + painted * cover)


def _labels(clip: PreparedClip, kept: TrainedRun, found: OcclusionMap) -> list[str]:
    """Tell what each frame of the input shows, and when that was."""
    lines: dict[Kind, list[str]] = {}
    if "picture" in found.source_frame:
        every = 16 // kept.strategy.frames
        times_s = clip.arrays["frame_time_s"][::every]
        lines["picture"] = [f"face {t:.2f} s" for t in times_s]
    if "sound" in found.source_frame:
        bounds_s = clip.arrays[f"window_{kept.strategy.windows}_s"]
        lines["sound"] = [f"sound {a:.1f}-{b:.1f} s" for a, b in bounds_s]
    places = {kind: found.source_frame[kind].tolist() for kind in lines}
    return [
        "\n".join(lines[k][places[k][i]] for k in lines if places[k][i] >= 0)
        for i in range(len(found.input_image))
    ]
