"""Sentences about the occlusion map of a clip."""

from collections.abc import Sequence

import torch

from mmder_train.fusion.strategies import Strategy
from mmder_train.fusion.types import NUM_FRAMES, SIDE_PX
from mmder_train.inference.occlusion import OcclusionMap


def prediction_text(occlusion_map: OcclusionMap, classes: Sequence[str]) -> str:
    """Return the most probable emotion and its probability."""
    best = occlusion_map.best
    return f"{classes[best]} {occlusion_map.probability[best]:.1%}"


def effect_text(occlusion_map: OcclusionMap, classes: Sequence[str]) -> str:
    """Return how much of the effect comes from the video and from the audio."""
    emotion = classes[occlusion_map.best]
    if not occlusion_map.is_measurable:
        p = occlusion_map.probability[occlusion_map.best]
        change = max(abs(p - ablated) for ablated in occlusion_map.ablated.values())
        hidden = " or ".join(f"all {kind}" for kind in occlusion_map.ablated)
        return (
            f"no measurable effect: hiding {hidden} changes {emotion} by "
            f"{100 * change:.1f} percentage points at most"
        )
    if len(occlusion_map.contribution) == 1:
        ((kind, p),) = occlusion_map.ablated.items()
        return f"{emotion} {p:.1%} with all {kind} hidden"
    fractions = ", ".join(
        f"{kind} {fraction:.0%}"
        for kind, fraction in occlusion_map.contribution.items()
    )
    ablated = ", ".join(
        f"{p:.1%} without {kind}" for kind, p in occlusion_map.ablated.items()
    )
    return f"effect: {fractions}; {emotion} {ablated}"


def agreement_text(occlusion_map: OcclusionMap, classes: Sequence[str]) -> str:
    """Return how the models of the folds disagree, empty if they do not."""
    agreement = occlusion_map.agreement
    if agreement.is_unanimous:
        return ""
    votes = ", ".join(f"{classes[c]} {n}" for c, n in agreement.votes.items())
    return (
        f"the models of the folds disagree: {votes}; {classes[occlusion_map.best]} "
        f"from {agreement.lowest:.1%} to {agreement.highest:.1%}"
    )


def layout_text(strategy: Strategy) -> str:
    """Return why the faces in the encoder's input are squashed, empty if they are not.

    >>> from mmder_train.fusion.strategies import STRATEGIES
    >>> layout_text(STRATEGIES["sfas"])
    ''
    """
    view, _ = strategy.layout(
        torch.empty((1, 3, NUM_FRAMES, SIDE_PX, SIDE_PX), device="meta")
    )
    if view is None or view.shape[-1] == view.shape[-2]:
        return ""
    return (
        f"{strategy.name} resizes faces and spectrograms to {view.shape[-1]} x "
        f"{view.shape[-2]} pixels, so that both fit into one frame: faces look squashed"
    )
