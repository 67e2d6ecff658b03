"""Run of a pre-training: train, measure after each epoch, write weights and picture."""

from dataclasses import dataclass
from pathlib import Path

import torch

from mmder_store.atomic_files import atomic_write
from mmder_train import weights
from mmder_train.data.sampler import BatchSampler
from mmder_train.evaluation.run_directory import RunDirectory
from mmder_train.experiment.types import RuntimeContext
from mmder_train.fusion.fuse import frame_permutations
from mmder_train.pretraining import reconstruction
from mmder_train.pretraining.batches import ClipSource, EpochSteps
from mmder_train.pretraining.clip_sources import pool_source, probe_source
from mmder_train.pretraining.config import BETAS
from mmder_train.pretraining.masking import token_kinds
from mmder_train.pretraining.model import MaskedAutoencoder
from mmder_train.pretraining.setup import Pretraining
from mmder_train.pretraining.state import PretrainState
from mmder_train.pretraining.validation import (
    cross_modal_losses,
    held_out_losses,
    probe_scores,
)
from mmder_train.runtime.device import use_deterministic_algorithms
from mmder_train.runtime.memory import keep_freed_memory
from mmder_train.runtime.signals import StopRequest, stop_on_signal
from mmder_train.training import trainer
from mmder_train.training.checkpoint import Checkpoint
from mmder_train.training.optim import create_optimizer, warmup_cosine
from mmder_train.weights.seen_clips import METADATA

RANK_SEED_STEP = 1_000_003
"""Difference between the random seeds of two training processes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PretrainFiles:
    """Files that a pre-training writes to its run folder."""

    folder: Path

    @property
    def weights(self) -> Path:
        """Weights of the finished encoder. The run is finished if they exist."""
        return self.folder / "encoder.safetensors"

    @property
    def picture(self) -> Path:
        """Reconstruction of one clip."""
        return self.folder / "reconstruction.png"


def pretrain(
    pretraining: Pretraining, directory: RunDirectory, context: RuntimeContext
) -> None:
    """Train to the last epoch, and write the weights and a picture.

    All training processes train. The primary process writes. A finished run is not
    trained again.

    Args:
        pretraining: Run from `setup.setup_pretraining`.
        directory: Opened folder of the run.
        context: Runtime resources.
    """
    config, world = pretraining.config, context.world
    files = PretrainFiles(folder=directory.path)
    finished = files.weights.exists()
    # No process writes before all have checked.
    world.all_gather(None)
    if finished:
        # A kill may fall between the weights and the end of the run.
        _checkpoint(pretraining, context, StopRequest()).delete()
        return
    _prepare_process(pretraining)
    _log_clips(pretraining, context)
    model = pretraining.initial_model()
    # All processes drew the same weights; each draws its own augmentation.
    torch.manual_seed(config.seed + world.rank * RANK_SEED_STEP)
    source = pool_source(pretraining, model, context)
    steps = EpochSteps.create(source, pretraining.pool.train)
    state = _create_state(pretraining, model, context, steps=len(steps))
    probe = pretraining.probe
    probed = probe_source(pretraining, model, context)

    def after_epoch(_: torch.nn.Module) -> dict[str, float]:
        epoch = len(state.history) + 1
        due = epoch % config.probe_every == 0 or epoch == config.epochs
        row = dict(state.epoch_losses)
        if len(pretraining.pool.val):
            row |= held_out_losses(model, source, pretraining.pool.val)
            if due:
                row |= cross_modal_losses(model, source, pretraining.pool.val)
        if probe is not None and probed is not None and due:
            row |= probe_scores(model, probe, probed)
        return row

    context.progress.begin(
        f"pre-training {config.strategy}",
        clips=config.epochs * len(pretraining.pool.train),
    )
    plan = trainer.FitPlan(
        epoch_batches=steps,
        steps_per_epoch=len(steps),
        epochs=config.epochs,
        grad_accum_steps=config.grad_accum_steps,
        validate=after_epoch,
        clip_ids=pretraining.pool.clip_id,
        lr_option="--base-lr",
    )
    with stop_on_signal() as stop_request:
        checkpoint = _checkpoint(pretraining, context, stop_request)
        trainer.fit(state, plan, progress=context.progress, checkpoint=checkpoint)
    if world.is_primary:
        _draw_reconstruction(pretraining, model, source, files)
        _write_weights(pretraining, model, files)
    # No process deletes its checkpoint before the weights are written.
    world.all_gather(None)
    checkpoint.delete()


def _checkpoint(
    pretraining: Pretraining, context: RuntimeContext, stop_request: StopRequest
) -> Checkpoint:
    return Checkpoint(
        path=context.checkpoints / "pretraining",
        identity=pretraining.identity(),
        stop_request=stop_request,
        save_every_s=context.save_every_s,
        world=context.world,
        task="this pre-training",
    )


def _prepare_process(pretraining: Pretraining) -> None:
    """Configure torch and the memory allocator."""
    if pretraining.device.type == "cuda":
        use_deterministic_algorithms()
    else:
        keep_freed_memory()


def _log_clips(pretraining: Pretraining, context: RuntimeContext) -> None:
    pool, log = pretraining.pool, context.progress.log
    trained = len({pool.speakers[i] for i in pool.train})
    log(f"{len(pool.train)} clips to train on, {trained} speakers")
    if pool.excluded:
        counts = ", ".join(f"{n} {reason}" for reason, n in pool.excluded.items())
        log(f"{sum(pool.excluded.values())} clips excluded: {counts}")
    if len(pool.val):
        names = ", ".join(f"{corpus} {name}" for corpus, name in pool.val_speakers)
        log(f"held out to measure the loss: {len(pool.val)} clips of {names}")


def _create_state(
    pretraining: Pretraining,
    model: MaskedAutoencoder,
    context: RuntimeContext,
    *,
    steps: int,
) -> PretrainState:
    config = pretraining.config
    optimizer = create_optimizer(
        model,
        lr=config.lr,
        weight_decay=config.weight_decay,
        patch_lr_scale=config.patch_lr_scale,
    )
    for group in optimizer.param_groups:
        group["betas"] = BETAS
    return PretrainState(
        model=model,
        optimizer=optimizer,
        set_lr=warmup_cosine(
            optimizer, steps=config.epochs * steps, warmup=config.warmup
        ),
        device=pretraining.device,
        world=context.world,
        clip_grad=config.clip_grad,
    )


def _draw_reconstruction(
    pretraining: Pretraining,
    model: MaskedAutoencoder,
    source: ClipSource,
    files: PretrainFiles,
) -> None:
    """Draw the first clip of a held-out speaker, or the first training clip."""
    pool, config = pretraining.pool, pretraining.config
    index = (pool.val if len(pool.val) else pool.train)[:1]
    name = pool.clip_id[int(index[0])]
    (stored,) = source.load(BatchSampler(index, batch_size=1))
    batch = source.validation_batch(stored)
    permutations = frame_permutations([name], seed=config.seed).to(source.device)
    drawn = reconstruction.reconstruct(
        model,
        batch,
        token_kinds(pretraining.strategy, model.patch_px, permutations),
        target=config.target,
        image_norm=source.render_settings.image_norm,
    )
    reconstruction.draw(drawn, files.picture, clip_id=name)


def _write_weights(
    pretraining: Pretraining, model: MaskedAutoencoder, files: PretrainFiles
) -> None:
    """Write the encoder, with the hashes of the clips that it has seen."""
    config = pretraining.config
    tensors = {
        name: tensor.cpu().contiguous()
        for name, tensor in model.encoder.state_dict().items()
    }
    metadata = {
        "encoder": config.encoder,
        "strategy": config.strategy,
        "config": config.to_json(),
        METADATA: {
            "seen": pretraining.seen.to_json(),
            "stores": pretraining.identity()["stores"],
            "excluded_speakers": list(config.exclude_speakers),
            "excluded_fold": config.exclude_fold,
            "protocol": config.protocol,
        },
    }
    with atomic_write(files.weights) as draft:
        weights.save_weights(draft, tensors, metadata)
