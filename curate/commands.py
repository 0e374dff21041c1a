"""What each command of the line does, as plain functions: the command line itself has no logic."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from curate.cluster import Cluster
from curate.engine import Outcome, finished, run, run_inline, tasks_of
from curate.errors import MissingInput, RecipeError
from curate.license import license_token
from curate.plan import LAYER, load_plan, plan_commits
from curate.progress import ConsoleWatch, TrainLine
from curate.recipe import Recipe, load_recipe, recipe_from
from curate.store.commit import load_commits
from curate.store.files import LocalFiles
from curate.store.manifest import Counts, Manifest
from curate.yaml_lines import explain as explain_mistakes
from curate.yaml_lines import override

REASONS_SHOWN = 40


def read_recipe(
    name: str | Path, sets: list[str] | None, tombstones: Sequence[Path] | None = None
) -> Recipe:
    """A recipe from a file, from the shipped ones by name, or from an output directory's plan.

    `tombstones` are logs of removals that count beside those the recipe names.
    """
    if tombstones:
        own = read_recipe(name, sets).tombstones
        logs = [*own, *(str(log) for log in tombstones if str(log) not in own)]
        sets = [*(sets or []), f"tombstones={json.dumps(logs)}"]
    path = Path(name)
    if (path / "plan" / "PLAN.json").is_file():
        return recipe_of(path, sets)
    return load_recipe(find_recipe(path), overrides=sets)


def find_recipe(name: str | Path) -> Path:
    """A recipe file: the path given, or a recipe that travels with the package (`demo`)."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = data_folder("pipelines") / f"{path.name.removesuffix('.yaml')}.yaml"
    if path.parent in (Path(), Path("pipelines")) and shipped.is_file():
        return shipped
    raise MissingInput(f"recipe {path} does not exist; `curate init PATH` writes one")


def data_folder(name: str) -> Path:
    """`pipelines`, `schemas` or `deployments`: inside the installed package, or beside it."""
    here = Path(__file__).parent
    inside = here / name
    return inside if inside.is_dir() else here.parent / name


def build(
    recipe: Recipe, to: Path, *, cluster: Cluster, inline: bool, limit: int | None, console: Console
) -> Outcome:
    """Run a recipe and write the pages beside the shards; does nothing if all is there."""
    outcome = execute(recipe, to, cluster=cluster, inline=inline, limit=limit, console=console)
    if outcome.computed or not (to / "report.html").is_file():
        write_pages(to)
        console.print(
            f"  {'pages':<18}report.html, README.md, ATTRIBUTION.*, LICENSES.md, croissant.json"
        )
    return outcome


def execute(
    recipe: Recipe, to: Path, *, cluster: Cluster, inline: bool, limit: int | None, console: Console
) -> Outcome:
    """Run a recipe up to the published manifest."""
    console.print(f"[bold]{recipe.name}[/] → {to}", highlight=False)
    with _corpus(recipe, to, cluster, console) as (recipe, cluster):
        engine = run_inline if inline else run
        outcome = engine(recipe, to, limit=limit, cluster=cluster, watch=ConsoleWatch(console))
    if outcome.finished_before:
        console.print("  nothing to do: every shard is committed and the manifest is published")
    print_captions(to, console)
    return outcome


def print_captions(out: Path, console: Console) -> None:
    """What became of each import of captions that the plan of a directory holds."""
    plan = load_plan(LocalFiles(out))
    for joined in plan.captions if plan else ():
        console.print(f"  {'captions':<18}{joined.sentence()}", highlight=False, markup=False)


def write_pages(to: Path, **report: Any) -> None:
    """Attribution, card, croissant and report from the published version."""
    from curate.provenance import seal_pages, write_outputs
    from curate.report import write_report

    write_outputs(to)
    write_report(to, **report)
    seal_pages(to)


def _corpus(
    recipe: Recipe, to: Path, cluster: Cluster, console: Console
) -> AbstractContextManager[tuple[Recipe, Cluster]]:
    """For a recipe over the demo's source: draw the corpus and serve it while the run lasts."""
    if recipe.source.kind != "demo" or recipe.source.path is not None:
        return nullcontext((recipe, cluster))
    from curate.demo.run import serving

    return serving(recipe, to, cluster, console)


def recipe_of(out: Path, sets: list[str] | None = None) -> Recipe:
    """The recipe kept in an output directory's plan; `--set source.path=…` says where files lie."""
    plan = load_plan(LocalFiles(out))
    if plan is None:
        raise MissingInput(f"{out} holds no plan: not an output of `curate run`")
    for setting in sets or []:
        override(plan.recipe, setting)
    return recipe_from(plan.recipe, origin=str(out / "plan" / "PLAN.json"))


def limit_of(recipe: Path, limit: int | None) -> int | None:
    """The limit asked for, or that of the plan when an output directory is run again."""
    plan = load_plan(LocalFiles(recipe)) if limit is None and recipe.is_dir() else None
    return plan.limit if plan else limit


def print_status(out: Path, console: Console) -> None:
    """What is done and what is to do in an output directory."""
    files = LocalFiles(out)
    plan = load_plan(files)
    if plan is None:
        raise MissingInput(f"{out} holds no plan: nothing was started there")
    recipe = recipe_of(out)
    console.print(f"{out}: recipe {plan.recipe_name}, fingerprint {plan.recipe_fingerprint[:16]}")
    if recipe.fingerprint(limit=plan.limit) != plan.recipe_fingerprint:
        console.print(
            "made by other versions of curate, its codecs or models: this one would compute anew"
        )
    layers = {LAYER: {commit.part: commit for commit in plan_commits(files, plan)}}
    console.print(f"  {'plan':<18}{plan.rows:,} candidates in {len(plan.parts):,} parts")
    print_captions(out, console)
    open_end = False
    for index, step in enumerate(recipe.passes):
        if open_end:
            console.print(f"  {step.layer:<18}waits")
            continue
        tasks, known = tasks_of(recipe, index, layers), load_commits(files, step.layer)
        done = [task for task in tasks if task.shard_id in known]
        console.print(f"  {step.layer:<18}{len(done):,} of {len(tasks):,} shards")
        layers[step.layer] = {task.part: known[task.shard_id] for task in done}
        open_end = len(done) < len(tasks)
        if step.verdict_layer and not open_end:
            own = {
                commit.part: commit for commit in load_commits(files, step.verdict_layer).values()
            }
            layers[step.verdict_layer] = own
            open_end = set(own) != set(plan.parts)
    manifest = finished(files)
    if manifest is None:
        console.print(f"unfinished: `{resume_command(out)}` goes on")
    else:
        print_counts(manifest, console)


def resume_command(out: Path) -> str:
    """The command that goes on with an interrupted run."""
    return f"curate run {out} --to {out}"


def print_counts(manifest: Manifest, console: Console) -> None:
    """Kept, rejected by reason, failed by cause, and the digests."""
    counts: Counts = manifest.counts
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_row("[bold]candidates[/]", f"{counts.candidates:,}")
    table.add_row("[bold]kept[/]", f"{counts.kept:,}")
    for title, reasons in (("rejected", counts.rejected), ("failed", counts.failed)):
        table.add_row(f"[bold]{title}[/]", f"{sum(reasons.values()):,}")
        for reason, rows in sorted(reasons.items(), key=lambda item: -item[1])[:REASONS_SHOWN]:
            table.add_row(f"  {reason}", f"{rows:,}")
    console.print(table)
    if not manifest.license_audited:
        console.print("[bold]licence: not audited[/]")
    console.print(
        f"dataset_digest {manifest.dataset_digest}\nbytes_digest   {manifest.bytes_digest}"
    )


def print_end(manifest: Manifest, recipe: Recipe, to: Path, console: Console) -> None:
    """The counts, and why nothing was kept if nothing was."""
    from curate.provenance.nothing import why_nothing
    from curate.store.dataset import Dataset

    print_counts(manifest, console)
    for line in why_nothing(Dataset.open(to), recipe):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def print_funnel(funnel: Iterable[dict[str, Any]], console: Console) -> None:
    """Rows in and out of every stage, with the reasons of those that stop there."""
    table = Table(title="funnel", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name, justify in (("stage", "left"), ("in", "right"), ("out", "right"), ("why", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left")
    for entry in funnel:
        reasons = ", ".join(f"{reason} {rows:,}" for reason, rows in entry["marked"].items())
        table.add_row(entry["stage"], f"{entry['rows_in']:,}", f"{entry['rows_out']:,}", reasons)
    console.print(table)


def init(path: Path, to: Path) -> Path:
    """Write a commented recipe for a CSV, Parquet, JSON Lines file or folder."""
    from curate.sources.guess import guess, write_recipe

    if to.exists():
        raise RecipeError(f"{to} exists: choose another --to, or remove it")
    to.write_text(write_recipe(guess(path)), encoding="utf-8")
    return to


def precompute_recipe(
    folder: Path, *, size: int, clip: str, t5: str, vae: str, declare: dict[str, str] | None
) -> Recipe:
    """A recipe that encodes a folder of pictures without judging licences."""
    source = {"kind": "folder", "path": str(folder)} | ({"declare": declare} if declare else {})
    images = [
        {"kind": "captions"},
        {"kind": "read_file", "root": str(folder)},
        {"kind": "inspect"},
        {"kind": "buckets", "sizes": [[size, size]], "upscale": "allow"},
    ]
    features = [{"kind": "clip_score", "model": clip}, {"kind": "t5", "model": t5}]
    value = {
        "name": f"precompute-{folder.resolve().name}",
        "source": source,
        "passes": [
            {"layer": "images", "stages": images},
            {"layer": "features/latents", "stages": [*features, {"kind": "vae", "model": vae}]},
        ],
    }
    return recipe_from(value, origin=f"precompute {folder}")


def declaration(
    license_id: str | None, by: str | None, statement: str | None
) -> dict[str, str] | None:
    """A rights holder's own declaration, complete or not at all."""
    given = {"license": license_id, "by": by, "statement": statement}
    present = {name: value for name, value in given.items() if value}
    if present and len(present) < len(given):
        missing = ", ".join(
            f"--{n}"
            for n in ("declare", "by", "statement")
            if not given[n.replace("declare", "license")]
        )
        raise RecipeError(
            f"a declaration has a licence, a name and a statement: {missing} is missing"
        )
    if license_id and license_token(license_id, "text") in ("AMBIGUOUS", "REJECT"):
        raise RecipeError(f"--declare {license_id!r} names no licence: write one like CC-BY-4.0")
    return present or None


def report(out: Path, to: Path | None) -> Path:
    """Write all pages of the published version again, or its report to another place."""
    if to is None:
        write_pages(out)
        return out / "report.html"
    from curate.report import write_report

    return write_report(out, to)


def train(
    out: Path, to: Path, *, recipe: Path | None, sets: list[str] | None, console: Console
) -> None:
    """Train from a dataset's cached latents, with the settings of a recipe or of the dataset's own."""
    from curate.train.loop import train as run_training
    from curate.train.settings import TrainSettings

    own = read_recipe(recipe, None).train if recipe else recipe_of(out).train
    value = (own or TrainSettings(steps=1000)).model_dump(mode="json")
    for setting in sets or []:
        override(value, setting)
    try:
        settings = TrainSettings.model_validate(value)
    except ValidationError as error:
        told = explain_mistakes(error, origin="--set", lines={}, model=TrainSettings)
        raise RecipeError(told) from error
    result = run_training(out, settings, to, on_step=TrainLine(console))
    console.print(
        f"{result.steps:,} steps, {result.seconds:.0f} s, {result.samples_per_second:.0f} samples/s → {to}"
    )


def sample(
    checkpoint: Path, prompts: list[str], to: Path, *, seed: int, steps: int, guidance: float
) -> Path:
    """Draw one picture a prompt into a grid."""
    from curate.train.sample import grid
    from curate.train.sample import sample as draw

    pictures = draw(checkpoint, prompts, seed=seed, steps=steps, guidance=guidance)
    grid(pictures, prompts).save(to)
    return to
