"""What `curate plan` prints, and the speed that `curate run` tells at its end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from curate.bench.result import BenchResult, known_benches
from curate.cluster import Cluster, check, gpus_here
from curate.engine import Outcome
from curate.errors import RecipeError
from curate.forecast.bench import nearest_bench, read_bench, same_size
from curate.forecast.lines import Prices, batch_lines, hour_lines, storage_lines
from curate.forecast.ratio import reached, speed_lines, tokens_of
from curate.forecast.rows import Assumed, encoding
from curate.recipe import Recipe
from curate.store.dataset import Dataset


def plan(
    recipe: Recipe, *, rows: int, tokens: float, keep: float, price: float | None,
    storage_price: float | None, bench: Path | None, cluster: Cluster, console: Console,
) -> None:  # fmt: skip
    """Type-check a recipe, say who works on it, and forecast; touches no data.

    Raises EngineError for workers that this machine cannot hold (what a cluster with an address
    holds is found when a run connects to it), RecipeError for a `keep` of nothing.
    """
    if not 0 < keep <= 1:
        raise RecipeError(f"--keep {keep:g}: a share of rows above 0 and at most 1")
    columns = recipe.check_columns()
    workers = list(worker_lines(recipe, cluster))
    elsewhere = cluster.address is not None
    found = read_bench(bench) if bench else _kept_bench(recipe, elsewhere=elsewhere)
    assumed = Assumed(rows=rows, tokens=tokens, keep=keep)
    prices = Prices(gpu_hour=price, gigabyte_month=storage_price)
    many = devices(cluster, recipe, found.device.kind if found else "")
    lines = [
        *(f"  {line}" for line in columns),
        *workers,
        f"fingerprint {recipe.fingerprint()[:16]}, {recipe.shard_rows:,} rows a shard at most",
        *storage_lines(recipe, assumed, prices),
        *batch_lines(recipe, assumed),
        *hour_lines(recipe, assumed, prices, found, devices=many),
    ]
    console.print(
        f"[bold]{recipe.name}[/]: {len(recipe.passes)} passes, columns check", highlight=False
    )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def worker_lines(recipe: Recipe, cluster: Cluster) -> Iterator[str]:
    """How many workers each pass gets and what each of them sets aside."""
    if cluster.address is not None:
        yield f"workers, as far as the cluster at {cluster.address} holds them:"
        for step in recipe.passes:
            gpus = cluster.gpus_per_worker if any(s.needs.gpus for s in step.stages) else 0.0
            cpus = cluster.cpus_per_gpu_worker if gpus else cluster.cpus_per_worker
            many = cluster.gpu_workers if gpus else cluster.workers
            told = many or "one a place"
            yield f"  {step.layer:<18}{told} with {cpus:g} CPU, {gpus:g} GPU each"
        return
    yield "workers on this machine:"
    pools = check(cluster, recipe, cpus=float(os.cpu_count() or 1), gpus=float(gpus_here()))
    for layer, pool in pools.items():
        yield f"  {layer:<18}{pool.workers} with {pool.cpus:g} CPU, {pool.gpus:g} GPU each"


def devices(cluster: Cluster, recipe: Recipe, kind: str) -> float:
    """GPUs (or CPU workers, for a bench of a CPU) that encode; one where nothing says how many."""
    if kind != "cuda":
        return float(cluster.workers)
    if not cluster.gpus_per_worker:
        return 1.0
    if cluster.gpu_workers is not None:
        return cluster.gpu_workers * cluster.gpus_per_worker
    if cluster.address is not None or not gpus_here():
        return 1.0
    pools = check(cluster, recipe, cpus=float(os.cpu_count() or 1), gpus=float(gpus_here()))
    each = [pools[step.layer] for step in encoding(recipe)]
    return max((pool.workers * pool.gpus for pool in each), default=1.0) or 1.0


def print_speed(outcome: Outcome, recipe: Recipe, console: Console) -> None:
    """How near the passes that encode came to a bare loop on the same device, or how to learn it."""
    rates = outcome.rates
    passes = reached(recipe, rates)
    elsewhere = any(rates[step.layer].gpus for step in passes) and not gpus_here()
    bench = _kept_bench(recipe, elsewhere=elsewhere) if passes else None
    if bench is not None and not same_size(bench, recipe):
        bench = None
    tokens = tokens_of(Dataset.open(outcome.root), passes) if bench else None
    for line in speed_lines(recipe, rates, bench, tokens):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _kept_bench(recipe: Recipe, *, elsewhere: bool) -> BenchResult | None:
    """The last bench of these models: of this machine's device, or of any GPU for work elsewhere."""
    if not encoding(recipe) or not known_benches():
        return None
    if elsewhere:
        return nearest_bench(recipe, None, kind="cuda")
    from curate.bench.machine import device_facts

    return nearest_bench(recipe, device_facts("auto").name)
