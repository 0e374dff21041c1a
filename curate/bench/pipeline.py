"""The pipeline's rate: `curate run` from committed image shards to committed feature shards."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import columns as c
from curate.bench.data import FEATURES, BenchSet, Say
from curate.bench.result import PipelineRun, Storage
from curate.cluster import Cluster
from curate.engine import Outcome, run, run_inline
from curate.errors import EngineError
from curate.models import Part
from curate.models.agreement import relative_error
from curate.models.blocks8 import INT8, quantise, restored, vector_bytes
from curate.recipe import Recipe
from curate.store.commit import Commit, commit_path, load_commits
from curate.store.files import LocalFiles
from curate.watch import Silent

TELL_SECONDS: Final = 10.0
AT_TOKENS: Final = 15
CAPTIONS_CHECKED: Final = 64


def feature_stages(models: Mapping[Part, str], *, made: frozenset[Part]) -> list[dict[str, Any]]:
    """The stages of the features pass; `made` are the encoders with random weights.

    Latents of a VAE that was never trained are measured and decoded like any others, but no bound
    is set to what comes out.
    """
    vae: dict[str, Any] = {"kind": "vae", "model": models["vae"]}
    if "vae" in made:
        vae |= {"least_psnr": 0.0, "std_range": [0.0, 1e6]}
    return [
        {"kind": "clip_score", "model": models["clip"]}, {"kind": "t5", "model": models["t5"]}, vae,
    ]  # fmt: skip


def measure(
    data: BenchSet, recipe: Recipe, to: Path, *, workers: int, gpu: bool, inline: bool, say: Say
) -> tuple[PipelineRun, Storage]:
    """Run the recipe's features pass into `to` with so many workers; the features are let go again."""
    shutil.rmtree(to, ignore_errors=True)
    data.copy_to(to)
    pool = {"gpu_workers": workers, "gpus_per_worker": 1.0} if gpu else {}
    cluster = Cluster(workers=workers, **pool)
    begun, clock = time.time(), time.perf_counter()
    engine = run_inline if inline else run
    outcome = engine(recipe, to, cluster=cluster, watch=Telling(say))
    total = time.perf_counter() - clock
    found = _run(outcome, workers=workers, begun=begun, total=total, gpu=gpu)
    stored = storage(to, recipe)
    shutil.rmtree(to)
    return found, stored


class Telling(Silent):
    """A watch that says every few seconds how far the features are."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._begun = self._last = time.perf_counter()
        self._shards = self._rows = 0

    def shard_done(self, layer: str, commit: Commit) -> None:
        now = time.perf_counter()
        self._shards += 1
        self._rows += commit.rows_in
        if self._shards == 1 or now - self._last >= TELL_SECONDS:
            self._last = now
            self._say(
                f"pipeline: {self._rows} rows in {self._shards} shards after {now - self._begun:.1f} s"
            )


def _run(outcome: Outcome, *, workers: int, begun: float, total: float, gpu: bool) -> PipelineRun:
    rate = outcome.rates.get(FEATURES)
    times = commit_times(outcome.root)
    if rate is None or not times:
        raise EngineError("the bench's features were committed before: give another --to")
    first = times[0][0] - begun
    by_commits, seconds = by_commit_times(times, workers) or (rate.rows / total, total)
    return PipelineRun(
        workers=workers, gpus=rate.gpus if gpu else 0.0, rows=rate.rows,
        per_second=rate.steady_rows_per_second or by_commits,
        seconds=rate.steady_seconds or seconds, by_commit_times=by_commits,
        startup_seconds=rate.startup_seconds, first_commit_seconds=first, total_seconds=total,
        gpu_busy=rate.gpu_busy, shards=len(times), kept=outcome.manifest.counts.kept,
    )  # fmt: skip


def commit_times(root: Path) -> list[tuple[float, int]]:
    """(seconds since 1970, rows) of each commit of the features, the oldest first."""
    files = LocalFiles(root)
    commits = load_commits(files, FEATURES).values()
    stamps = (
        files.path(commit_path(FEATURES, commit.shard_id)).stat().st_mtime for commit in commits
    )
    return sorted((at, commit.rows_in) for at, commit in zip(stamps, commits, strict=True))


def by_commit_times(times: Sequence[tuple[float, int]], workers: int) -> tuple[float, float] | None:
    """Rows a second by the times of the commits alone, and over how many seconds.

    The first two shards a worker and its last one are left out, where there are enough others. None
    where there is no span to measure over.
    """
    head, tail = (2 * workers, workers) if len(times) >= 8 * workers else (1, 0)
    chosen = times[head - 1 : len(times) - tail]
    seconds = chosen[-1][0] - chosen[0][0] if chosen else 0.0
    rows = sum(rows for _, rows in chosen[1:])
    return (rows / seconds, seconds) if seconds > 0 and rows else None


def storage(root: Path, recipe: Recipe) -> Storage:
    """Bytes that rows and captions take in the feature shards."""
    files = sorted((root / FEATURES / "data").glob("*.parquet"))
    tables = [pq.read_table(file, columns=[c.T5_EMBEDDINGS.name, c.T5_TOKENS.name, c.LATENT.name,
                                           c.CLIP_IMAGE.name, c.CLIP_TEXT.name])
              for file in files[:2]]  # fmt: skip
    table = pa.concat_tables(tables)
    tokens = pc.list_flatten(table[c.T5_TOKENS.name])
    notes = next(s for s in recipe.passes[1].stages if s.kind == "t5").field_metadata()
    dim = int(notes[c.T5_EMBEDDINGS.name]["dim"])
    rows = sum(pq.read_metadata(file).num_rows for file in files)
    return Storage(
        caption_tokens=pc.mean(tokens).as_py(),
        t5_bytes=_mean_bytes(pc.list_flatten(table[c.T5_EMBEDDINGS.name])),
        t5_bytes_at_15_tokens=2.0 * dim * AT_TOKENS,
        t5_int8_bytes_at_15_tokens=float(vector_bytes(INT8, dim) * AT_TOKENS),
        t5_int8_error=_int8_error(pc.list_flatten(table[c.T5_EMBEDDINGS.name]), dim),
        latent_bytes=_mean_bytes(table[c.LATENT.name]),
        clip_bytes=_mean_bytes(table[c.CLIP_IMAGE.name])
        + _mean_bytes(pc.list_flatten(table[c.CLIP_TEXT.name])),
        feature_bytes=sum(file.stat().st_size for file in files) / max(rows, 1),
    )


def _int8_error(states: pa.ChunkedArray, dim: int) -> float:
    """How far the 8-bit form of some stored vectors lies from them."""
    import torch

    body = bytearray(b"".join(states.slice(0, CAPTIONS_CHECKED).to_pylist()))
    stored = torch.frombuffer(body, dtype=torch.bfloat16).view(-1, dim)
    return relative_error(restored(quantise(stored), dim), stored)


def _mean_bytes(column: pa.ChunkedArray) -> float:
    return float(pc.mean(pc.binary_length(column)).as_py() or 0.0)
