"""Two real processes share a run: one clock, the same steps, and the same weights at the end."""

from __future__ import annotations

import hashlib
import multiprocessing as mp
import time
from pathlib import Path
from typing import Any

import pytest
from train_dataset import write_dataset, write_models

from curate.store.dataset import Dataset
from curate.train.checkpoint import read_card
from curate.train.loop import fit
from curate.train.settings import TrainSettings

SETTINGS = TrainSettings(
    max_seconds=1.0, schedule="cosine", batch_size=16, warmup_steps=2, log_every_steps=1,
    checkpoint_every_steps=3, threads=1, device="cpu",
)  # fmt: skip


def take_part(rank: int, data: Path, to: Path, meeting: Path, told: Any) -> None:
    """One of two processes; rank 1 is slow, so by its own clock it would stop sooner."""
    import torch
    import torch.distributed as dist
    from torch.nn.parallel import DistributedDataParallel

    models = []

    def prepare(model: Any) -> Any:
        models.append(model)
        return DistributedDataParallel(model)

    def share(done: float) -> float:
        shared = torch.tensor([done], dtype=torch.float64)
        dist.broadcast(shared, 0)
        return float(shared)

    dist.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=2)
    result = fit(
        Dataset.open(data), SETTINGS, to, on_step=lambda _: time.sleep(0.05 * rank),
        rank=rank, world=2, prepare=prepare, share=share,
    )  # fmt: skip
    weights = b"".join(value.detach().numpy().tobytes() for value in models[0].parameters())
    told.put((rank, result.steps, hashlib.sha256(weights).hexdigest()))
    dist.destroy_process_group()


def test_ranks_stop_at_the_same_step_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    data = write_dataset(tmp_path / "out", write_models(tmp_path / "models"))
    context = mp.get_context("spawn")
    told, to = context.Queue(), tmp_path / "run"
    ranks = [
        context.Process(target=take_part, args=(rank, data, to, tmp_path / "meeting", told))
        for rank in (0, 1)
    ]
    try:
        for process in ranks:
            process.start()
        (_, steps, weights), other = sorted(told.get(timeout=90) for _ in ranks)
    finally:
        for process in ranks:
            process.join(timeout=10)
            process.kill()
    assert other == (1, steps, weights) and steps >= 2
    assert read_card(to).progress.step == steps
