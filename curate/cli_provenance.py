"""The commands that answer for a dataset: audit, story, credits, releases, removal, recheck."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curate.cli_types import Json, Out, console

Many = list[str] | None
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option("--checkpoints", metavar="DIR", help="Look for checkpoints here too."),
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", help="open, sharealike or noncommercial; may be repeated."),
]


def audit(
    out: Out,
    hashes: Annotated[bool, typer.Option("--hashes", help="Read and hash every file.")] = False,
    full: Annotated[
        bool, typer.Option("--full", help="And decode every picture, make every credit again.")
    ] = False,
    json: Json = False,
) -> None:
    """Re-derive every claim of a dataset, promise by promise; exit 0 if all hold, 1 if not.

    Of what this project did not make (a table, a folder, WebDataset) it says which promises hold.
    """
    from curate import provenance_commands as commands

    code = commands.audit(out, hashes=hashes, full=full, as_json=json, console=console())
    raise SystemExit(code)


def explain(
    out: Out,
    key: Annotated[str, typer.Argument(help="A key, the beginning of one, a sha256 or a URL.")],
) -> None:
    """Tell one row's story: claims, evidence, fetch, picture, scores, verdict."""
    from curate import provenance_commands as commands

    print(commands.explain(out, key))


def attribute(
    what: Annotated[
        list[str],
        typer.Argument(metavar="[OUT] WHAT", help="A picture file, a sha256, a key or a URL."),
    ],
    inside: Annotated[
        Path, typer.Option("--in", metavar="OUT", help="The dataset, if not given before WHAT.")
    ] = Path(),
    withhold: Annotated[
        bool, typer.Option("--withhold", help="Take its author's name off every page, on request.")
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="With --withhold: who asked, when; kept as a hash.")
    ] = "",
) -> None:
    """Print the credit line of a picture, and what its licence asks for that nobody stated."""
    from curate import provenance_commands as commands

    print(commands.attribute(what, inside, withhold=withhold, reason=reason))


def export(
    out: Out,
    to: Annotated[
        str | None, typer.Option("--to", metavar="FORM", help="webdataset, files or padded.")
    ] = None,
    path: Annotated[
        Path | None, typer.Option("--path", metavar="DIR", help="Where the export goes.")
    ] = None,
    card: Annotated[
        Path | None, typer.Option("--card", metavar="DIR", help="Write the pages of a release.")
    ] = None,
    group: Groups = None,
    policy: Annotated[
        str | None,
        typer.Option(
            "--policy", help="Take only what it accepts: a name, or licence ids with commas."
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option("--tokens", min=1, help="With --to padded: length of a caption; default 120."),
    ] = None,
) -> None:
    """Write a release of the kept rows: WebDataset tars, plain files, or its pages alone.

    The form padded holds the features: latents, and captions' embeddings padded to one length.
    A release whose licences may not be handed on together is refused, naming them.
    """
    from curate import provenance_commands as commands

    print(
        commands.export(
            out, form=to, path=path, card=card, groups=group, policy=policy, tokens=tokens
        )
    )


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A dataset directory.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    json: Json = False,
) -> None:
    """What entered, left or changed its licence from A to B, and why; exit 1 if they differ."""
    from curate import provenance_commands as commands

    raise SystemExit(commands.diff(before, after, as_json=json))


def remove(
    out: Out,
    key: Annotated[Many, typer.Option("--key", help="A key or the beginning of one.")] = None,
    sha256: Annotated[Many, typer.Option("--sha256", help="Of the original or stored file.")] = None,
    url: Annotated[Many, typer.Option("--url", help="Of the picture.")] = None,
    creator: Annotated[Many, typer.Option("--creator", help="A name or address, exactly.")] = None,
    near: Annotated[Many, typer.Option("--near", metavar="IMAGE", help="Looks like this.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Kept for ever: no names in it.")] = "",
    checkpoints: Checkpoints = None,
    look: Annotated[bool, typer.Option("--look", help="Say what would go; change nothing.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="End a removal that was killed.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Remove rows and every copy of their pictures, and print the receipt.

    Exit 0 if rows went, 1 if none matched (the request is logged and counts at later ingests).
    """
    from curate import provenance_commands as commands
    from curate.provenance.request import Selectors

    selectors = Selectors(
        keys=key or (), sha256=sha256 or (), urls=url or (), creators=creator or (), near=near or ()
    )
    if look:
        raise SystemExit(commands.look(out, selectors))
    if finish:
        raise SystemExit(commands.finish(out, as_json=json))
    code = commands.remove(
        out, selectors, reason=reason, checkpoints=checkpoints or [], as_json=json
    )
    raise SystemExit(code)


def verify_removal(
    out: Out,
    also: Annotated[
        list[Path] | None, typer.Option("--also", metavar="DIR", help="Scan this folder too.")
    ] = None,
    json: Json = False,
) -> None:
    """Scan a whole directory for what was removed: keys, hashes, addresses, like pictures.

    Exit 0 if there is none left, 1 if there is.
    """
    from curate import provenance_commands as commands

    raise SystemExit(commands.verify_removal(out, also=also or [], as_json=json))


def recheck(
    out: Out,
    sample: Annotated[int, typer.Option("--sample", min=1, help="Rows to look at again.")] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the choice of rows.")] = 0,
    contact: Annotated[
        str | None, typer.Option("--contact", help="Where you are reached, if the recipe has none.")
    ] = None,
    json: Json = False,
) -> None:
    """Fetch the evidence of some rows again and report drift; exit 0 if none, 1 if some."""
    from curate import provenance_commands as commands

    raise SystemExit(commands.recheck(out, sample=sample, seed=seed, contact=contact, as_json=json))


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    for command in (audit, explain, attribute, export, diff, remove, recheck):
        app.command()(command)
    app.command("verify-removal")(verify_removal)
