"""`curate demo`: draw the corpus, serve it, run the recipe, train, and hold what was found against
what was planted. Everything it calls is what any other recipe uses.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from curate import commands
from curate.cluster import Cluster
from curate.demo.corpus import write_corpus
from curate.demo.server import HOST
from curate.errors import EngineError, OutputMismatch
from curate.memory import PeakMemory
from curate.plan import load_plan
from curate.progress import TrainLine
from curate.recipe import Recipe, load_recipe
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles
from curate.store.manifest import load_manifest

if TYPE_CHECKING:
    from curate.demo.scoring import FaultScore
    from curate.train.loop import TrainResult

CORPUS: Final = "corpus"
CHECKPOINT: Final = "checkpoint"
TRUTH: Final = "truth.parquet"
STOP_SECONDS: Final = 5.0


@contextmanager
def serving(
    recipe: Recipe, to: Path, cluster: Cluster, console: Console
) -> Iterator[tuple[Recipe, Cluster]]:
    """Draw the corpus into `to`/corpus if it is not there and serve it on loopback.

    Yields the recipe with the corpus filled in and the cluster that knows the server's address.
    """
    folder = to / CORPUS
    source = recipe.source
    if source.kind != "demo":
        raise EngineError(f"the demo's corpus is for a source of kind demo, not {source.kind}")
    marker = folder / "drawn.json"
    told = {"pictures": source.pictures, "seed": source.seed}
    drawn = json.loads(marker.read_text()) if marker.is_file() else None
    if drawn not in (None, told) and load_plan(LocalFiles(to)) is not None:
        raise OutputMismatch(
            f"{to} was built from the corpus {drawn}, not {told}: choose another --to"
        )
    if drawn != told:
        clock = time.perf_counter()
        write_corpus(folder, pictures=source.pictures, seed=source.seed)
        marker.write_text(json.dumps(told))
        seconds = time.perf_counter() - clock
        console.print(
            f"  {'corpus':<18}drawn from seed {source.seed} in {seconds:.1f} s", highlight=False
        )
    recipe = recipe.model_copy(update={"source": source.model_copy(update={"path": folder})})
    with _server(folder) as port:
        update = {"connect_to": {**cluster.connect_to, HOST: f"127.0.0.1:{port}"}}
        yield recipe, cluster.model_copy(update=update)


@contextmanager
def _server(folder: Path) -> Iterator[int]:
    """The corpus's web server as a process of its own, ended by its id."""
    command = [sys.executable, "-m", "curate.demo.server", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.strip().isdecimal():
                raise EngineError(f"the demo's web server did not start: it said {line!r}")
            yield int(line)
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def demo(
    to: Path, *, console: Console, cluster: Cluster, inline: bool, long: bool,
    pictures: int | None, seed: int | None,
) -> None:  # fmt: skip
    """The whole demo into one directory; finished steps are not done again."""
    clock = time.perf_counter()
    asked = {"source.pictures": pictures, "source.seed": seed}
    overrides = [f"{field}={value}" for field, value in asked.items() if value is not None]
    recipe = load_recipe(commands.find_recipe("demo-long" if long else "demo"), overrides=overrides)
    with PeakMemory() as memory:
        outcome = commands.execute(
            recipe, to, cluster=cluster, inline=inline, limit=None, console=console
        )
        training = _train(recipe, to, console)
        dataset = Dataset.open(to)
        scores = _scores(dataset)
        commands.write_pages(to, training=to / CHECKPOINT, scores=scores)
    commands.print_funnel(dataset.record["funnel"], console)
    commands.print_counts(outcome.manifest, console)
    _print_scores(scores, console)
    _print_places(to, training, time.perf_counter() - clock, memory.peak_bytes, console)


def _train(recipe: Recipe, to: Path, console: Console) -> TrainResult | None:
    """Train from the cached latents unless the checkpoint of this very dataset is there."""
    from curate.train.loop import train

    folder, note = to / CHECKPOINT, to / CHECKPOINT / "demo.json"
    if recipe.train is None:
        raise EngineError(f"recipe {recipe.name!r} has no `train:` section")
    told: dict[str, Any] = {
        "dataset_digest": load_manifest(Dataset.open(to).files).dataset_digest,
        "settings": recipe.train.model_dump(mode="json"),
    }
    if note.is_file() and json.loads(note.read_text()) == told:
        console.print(f"  {'training':<18}already done")
        return None
    _set_aside(folder, note, told["dataset_digest"])
    result = train(to, recipe.train, folder, on_step=TrainLine(console))
    note.write_text(json.dumps(told))
    console.print(
        f"  {'training':<18}{result.steps:,} steps, {result.seconds:.0f} s, "
        f"{result.samples_per_second:,.0f} samples/s",
        highlight=False,
    )
    return result


def _set_aside(folder: Path, note: Path, digest: str) -> None:
    """Keep the checkpoint of an earlier version of the dataset under a name of its own."""
    before = json.loads(note.read_text())["dataset_digest"] if note.is_file() else digest
    if before != digest:
        folder.rename(folder.with_name(f"{folder.name}-{before[:12]}"))


def _scores(dataset: Dataset) -> list[FaultScore]:
    from curate.demo.scoring import score

    return score(dataset.root / CORPUS / TRUTH, dataset.ledger())


def _print_scores(scores: list[FaultScore], console: Console) -> None:
    table = Table(title="found / planted", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("fault", "planted", "found", "precision", "recall", ""):
        table.add_column(name, justify="left" if name in ("fault", "") else "right")
    for row in scores:
        table.add_row(
            row.fault, f"{row.planted:,}", f"{row.found:,}", _share(row.precision),
            _share(row.recall), row.note,
        )  # fmt: skip
    console.print(table)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _print_places(
    to: Path, training: Any, seconds: float, peak_bytes: int, console: Console
) -> None:
    rows = {
        "report": to / "report.html",
        "dataset": to / "MANIFEST.json",
        "attribution": to / "ATTRIBUTION.html",
        "checkpoint": to / CHECKPOINT,
        "samples": to / CHECKPOINT / "samples.png",
    }
    for name, path in rows.items():
        console.print(f"  {name:<18}{path}", highlight=False, soft_wrap=True)
    console.print(f"  {'time':<18}{seconds:.0f} s", highlight=False)
    console.print(
        f"  {'peak memory':<18}{peak_bytes / 1e9:.2f} GB (all processes, PSS)", highlight=False
    )
