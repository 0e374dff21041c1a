"""The command line: Typer commands over `curate.commands`, no logic of its own.

Exit codes: 0 done, 1 audit failed, 2 bad recipe or arguments, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curate import cli_provenance
from curate.cli_types import Out, To, console, fail
from curate.errors import CurateError

if TYPE_CHECKING:
    from curate.cluster import Cluster

app = typer.Typer(
    name="curate", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Build image–text training sets that can be accounted for, picture by picture, "
    "and train from their cached latents.",
)  # fmt: skip

Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="a.b=1", help="Override a field; may be repeated."),
]
ClusterFile = Annotated[Path | None, typer.Option("--cluster", help="YAML: where and how many.")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, help="Workers on this machine.")]
Inline = Annotated[bool, typer.Option("--inline", help="In this process, without Ray.")]


def main() -> None:
    """Entry point: errors become one line and an exit code, never a traceback."""
    try:
        app(standalone_mode=True)
    except CurateError as error:
        fail(f"error: {error}", error.exit_code)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "curate":
            raise
        fail(
            f"error: this needs the package {error.name!r}, which the light install leaves out: "
            f"pip install 'curate-t2i[all]'",
            2,
        )
    except OSError as error:
        fail(f"error: {error.strerror or error}: {error.filename or ''}".rstrip(": "), 2)


@contextlib.contextmanager
def _resumable() -> Iterator[None]:
    """Ctrl-C ends a command with the line that goes on with it."""
    try:
        yield
    except KeyboardInterrupt:
        command = shlex.join(["curate", *sys.argv[1:]])
        fail(f"\ninterrupted; what was committed stays. To go on:\n  {command}", 130)


def _cluster(file: Path | None, workers: int | None) -> Cluster:
    from curate.cluster import load_cluster

    cluster = load_cluster(file)
    return cluster.model_copy(update={"workers": workers}) if workers else cluster


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="A CSV, Parquet or JSON Lines file, or a folder.")],
    to: To = Path("recipe.yaml"),
) -> None:
    """Write a commented recipe for PATH, with the columns it guessed."""
    from curate import commands

    print(commands.init(path, to))


@app.command()
def plan(
    recipe: Annotated[Path, typer.Argument(help="A recipe file, or the name of a shipped one.")],
    rows: Annotated[int, typer.Option("--rows", min=1, help="Forecast for this many rows.")] = 1_000_000,
    bench: Annotated[Path | None, typer.Option("--bench", metavar="FILE", help="JSON of `curate bench`; by default the last one here.")] = None,
    price: Annotated[float | None, typer.Option("--price", min=0.0, metavar="USD", help="What an hour of one GPU costs.")] = None,
    storage_price: Annotated[float | None, typer.Option("--storage-price", min=0.0, metavar="USD", help="What a GB costs a month.")] = None,
    tokens: Annotated[float, typer.Option("--tokens", min=1.0, help="Mean T5 tokens of a caption.")] = 15.0,
    keep: Annotated[float, typer.Option("--keep", min=0.0, max=1.0, help="Share of rows that survives a barrier behind encoders, such as a CLIP threshold.")] = 1.0,
    cluster: ClusterFile = None,
    sets: Sets = None,
) -> None:  # fmt: skip
    """Type-check a recipe; forecast storage, batches, GPU-hours and cost; touches no data.

    Hours come from the last `curate bench` of these models on this device. What the cluster file
    asks for and this machine does not have is refused.
    """
    from curate import commands, forecast_command

    forecast_command.plan(
        commands.read_recipe(recipe, sets), rows=rows, tokens=tokens, keep=keep, price=price,
        storage_price=storage_price, bench=bench, cluster=_cluster(cluster, None), console=console(),
    )  # fmt: skip


@app.command()
def run(
    recipe: Annotated[
        Path, typer.Argument(help="A recipe file, a shipped one, or an output directory.")
    ],
    to: To,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, help="First N candidates only.")
    ] = None,
    tombstones: Annotated[
        list[Path] | None,
        typer.Option("--tombstones", metavar="LOG", help="What this log names is not taken."),
    ] = None,
    inline: Inline = False,
    workers: Workers = None,
    cluster: ClusterFile = None,
    sets: Sets = None,
) -> None:
    """Run a recipe into an output directory; the same command resumes it."""
    from curate import commands, forecast_command

    shown, wanted = console(), commands.read_recipe(recipe, sets, tombstones)
    with _resumable():
        outcome = commands.build(
            wanted, to, cluster=_cluster(cluster, workers), inline=inline,
            limit=commands.limit_of(recipe, limit), console=shown,
        )  # fmt: skip
    commands.print_end(outcome.manifest, wanted, to, shown)
    forecast_command.print_speed(outcome, wanted, shown)


@app.command()
def status(out: Out) -> None:
    """Shards done and to do."""
    from curate import commands

    commands.print_status(out, console())


@app.command()
def report(
    out: Out,
    to: Annotated[
        Path | None, typer.Option("--to", help="File to write; default OUT/report.html.")
    ] = None,
) -> None:
    """Write the report and the other pages again; with --to the report alone, elsewhere."""
    from curate import commands

    print(commands.report(out, to))


@app.command()
def precompute(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Pictures; captions from .txt, metadata.jsonl or CSV.")],
    to: To,
    size: Annotated[int, typer.Option("--size", min=8, help="Square size in pixels.")] = 64,
    clip: Annotated[str, typer.Option("--clip", help="CLIP: directory, hub:ORG/NAME@REVISION, builtin:tiny.")] = "builtin:tiny",
    t5: Annotated[str, typer.Option("--t5", help="T5 encoder, in the same forms.")] = "builtin:tiny",
    vae: Annotated[str, typer.Option("--vae", help="VAE, in the same forms.")] = "builtin:tiny",
    declare: Annotated[str | None, typer.Option("--declare", metavar="LICENCE", help="Your own licence for your own pictures.")] = None,
    by: Annotated[str | None, typer.Option("--by", help="Who declares it.")] = None,
    statement: Annotated[str | None, typer.Option("--statement", help="In which words.")] = None,
    inline: Inline = False,
    workers: Workers = None,
    cluster: ClusterFile = None,
) -> None:  # fmt: skip
    """Encode a folder of pictures without licence stages; outputs say `licence: not audited`."""
    from curate import commands, forecast_command

    shown = console()
    recipe = commands.precompute_recipe(
        folder,
        size=size,
        clip=clip,
        t5=t5,
        vae=vae,
        declare=commands.declaration(declare, by, statement),
    )
    with _resumable():
        outcome = commands.build(
            recipe,
            to,
            cluster=_cluster(cluster, workers),
            inline=inline,
            limit=None,
            console=shown,
        )
    commands.print_counts(outcome.manifest, shown)
    forecast_command.print_speed(outcome, recipe, shown)


@app.command()
def train(
    out: Out,
    to: To,
    recipe: Annotated[Path | None, typer.Option("--recipe", help="Take `train:` from this recipe.")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", metavar="steps=1000", help="Override a training setting.")] = None,
) -> None:  # fmt: skip
    """Train a diffusion transformer from the cached latents of a dataset."""
    from curate import commands

    with _resumable():
        commands.train(out, to, recipe=recipe, sets=sets, console=console())


@app.command()
def sample(
    checkpoint: Annotated[
        Path, typer.Argument(metavar="CKPT", help="A checkpoint of `curate train`.")
    ],
    prompts: Annotated[list[str], typer.Argument(help="One picture a prompt.")],
    to: To = Path("samples.png"),
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
    steps: Annotated[int, typer.Option("--steps", min=1)] = 20,
    guidance: Annotated[float, typer.Option("--guidance", min=0.0)] = 4.5,
) -> None:
    """Draw pictures from a checkpoint into one grid."""
    from curate import commands

    print(commands.sample(checkpoint, prompts, to, seed=seed, steps=steps, guidance=guidance))


def license_(
    text: Annotated[str | None, typer.Argument(help="A licence text, URL or code.")] = None,
    source: Annotated[str, typer.Option("--source", metavar="KIND", help="What kind of source says so.")] = "text",
    batch: Annotated[str | None, typer.Option("--batch", metavar="FILE", help="JSON Lines; `-` for standard input.")] = None,
    kinds: Annotated[bool, typer.Option("--kinds", help="List the kinds of source.")] = False,
) -> None:  # fmt: skip
    """Say which licence a text names: the canonical id, AMBIGUOUS or REJECT.

    --batch reads {"input": …, "source_kind": …} a line and prints one token a line, in order.
    """
    from curate import license_command

    license_command.run(text, source=source, batch=batch, kinds=kinds)


app.command("license")(license_)
app.command("licence", help="The same as `license`.", hidden=True)(license_)


@app.command()
def bench(
    px: Annotated[int | None, typer.Option("--px", help="Side of the pictures that encoders see; 256 on a GPU.")] = None,
    rows: Annotated[int | None, typer.Option("--rows", min=4, help="Rows of the data set.")] = None,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Steady state of each figure; 60 on a GPU.")] = None,
    gpus: Annotated[int | None, typer.Option("--gpus", min=1, help="Run the pipeline on so many, too.")] = None,
    to: Annotated[Path | None, typer.Option("--to", help="Keeps models and data for the next call; default in the temporary folder.")] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE.json", help="Write the result here.")] = None,
    clip: Annotated[str | None, typer.Option("--clip", help="CLIP: directory, hub:ORG/NAME@REVISION, builtin:tiny.")] = None,
    t5: Annotated[str | None, typer.Option("--t5", help="T5 encoder, in the same forms.")] = None,
    vae: Annotated[str | None, typer.Option("--vae", help="VAE, in the same forms.")] = None,
    captions: Annotated[str, typer.Option("--captions", help="alt: alt texts; llava: a captioner's.")] = "alt",
    skip: Annotated[str | None, typer.Option("--skip", metavar="bare,at1,pipeline", help="Leave phases out; an earlier call's are taken.")] = None,
    inline: Inline = False,
) -> None:  # fmt: skip
    """Measure this machine: encoders in a bare loop, the pipeline, and AT1's way beside them.

    On a GPU the encoders have real sizes (T5-v1.1-XXL, SDXL's VAE, CLIP ViT-L/14) and random
    weights unless others are named; without one they are the builtin ones.
    """
    from curate import bench_command

    named = {"clip": clip, "t5": t5, "vae": vae}
    with _resumable():
        bench_command.run(
            skip=skip, named=named, out=out, console=console(), folder=to, px=px, rows=rows,
            seconds=seconds, gpus=gpus, captions=captions, inline=inline,
        )  # fmt: skip


@app.command()
def demo(
    to: To,
    workers: Workers = None,
    inline: Inline = False,
    long: Annotated[
        bool, typer.Option("--long", help="Train until shapes and colours are right.")
    ] = False,
    pictures: Annotated[
        int | None, typer.Option("--pictures", min=200, help="Candidates to draw.")
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of the corpus.")] = None,
) -> None:
    """The whole mission on an embedded corpus, offline: curate, encode, train, report."""
    from curate.demo import run as demo_run

    with _resumable():
        demo_run.demo(
            to, console=console(), cluster=_cluster(None, workers), inline=inline, long=long,
            pictures=pictures, seed=seed,
        )  # fmt: skip


cli_provenance.register(app)
