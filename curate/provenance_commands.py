"""What the commands over a finished dataset do, as plain functions that return text or exit codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from curate.commands import write_pages
from curate.errors import RecipeError

if TYPE_CHECKING:
    from rich.console import Console

    from curate.provenance.receipt import Receipt
    from curate.provenance.request import Selectors


FORMS: Final = ("webdataset", "files", "padded")
"""What `curate export --to` writes."""


def audit(out: Path, *, hashes: bool, full: bool, as_json: bool, console: Console) -> int:
    """Print what the audit found; returns the exit code."""
    from curate.provenance.audit import audit as run_audit

    result = run_audit(out, hashes=hashes, full=full)
    if as_json:
        print(result.to_json())
    else:
        console.print(result.to_text(), highlight=False, markup=False, soft_wrap=True)
    return 0 if result.ok else 1


def explain(out: Path, key: str) -> str:
    """One row's story as text."""
    from curate.provenance.explain import explain as run_explain

    return str(run_explain(out, key))


def attribute(what: Sequence[str], inside: Path, *, withhold: bool, reason: str) -> str:
    """The credit of a picture; `what` is the picture, or a dataset and the picture."""
    from curate.provenance.attribute import attribute as credit
    from curate.provenance.attribution_requests import withhold as take_off

    if len(what) > 2:
        raise RecipeError(f"attribute takes a dataset and one picture, not {len(what)} arguments")
    out = Path(what[0]) if len(what) == 2 else inside
    if not withhold:
        return "\n".join(credit(out, what[-1]))
    key = take_off(out, what[-1], reason=reason)
    write_pages(out)
    return f"the credit of {key} names nobody any more; shards and digests are as they were"


def export(
    out: Path, *, form: str | None, path: Path | None, card: Path | None,
    groups: Sequence[str] | None, policy: str | None, tokens: int | None = None,
) -> str:  # fmt: skip
    """Write an export, or the pages of a release; returns what was written."""
    from curate.provenance.export_card import export_card

    if (form is None) == (card is None):
        raise RecipeError(
            "say --to FORM --path DIR for pictures, or --card DIR for the pages alone"
        )
    if tokens is not None and form != "padded":
        raise RecipeError("--tokens is for --to padded alone")
    if card is not None:
        if policy is not None:
            raise RecipeError("--card tells of whole groups: use --group, not --policy")
        names = export_card(out, card, groups=groups)
        return "\n".join(str(card / name) for name in names)
    if form not in FORMS:
        raise RecipeError(f"no export form {form!r}; there are {', '.join(FORMS)}")
    if path is None:
        raise RecipeError(f"--to {form} needs --path DIR")
    return _exported(out, form, path, groups=groups, policy=policy, tokens=tokens)


def _exported(
    out: Path, form: str, path: Path, *, groups: Sequence[str] | None, policy: str | None,
    tokens: int | None,
) -> str:  # fmt: skip
    from curate.models.caption_packs import MAX_TOKENS
    from curate.train import export as exports
    from curate.train.padded import export_padded

    if form == "padded":
        length = MAX_TOKENS if tokens is None else tokens
        count = export_padded(out, path, groups=groups, policy=policy, tokens=length)
        return f"{count:,} rows, captions padded to {length} tokens → {path}"
    forms = {"webdataset": exports.export_webdataset, "files": exports.export_files}
    count = forms[form](out, path, groups=groups, policy=policy)
    return f"{count:,} pictures → {path}"


def diff(before: Path, after: Path, *, as_json: bool) -> int:
    """Print the difference; 0 if there is none."""
    from curate.provenance.diff import diff as compare

    found = compare(before, after)
    print(found.to_json() if as_json else found.to_text())
    return 0 if found.equal else 1


def look(out: Path, selectors: Selectors) -> int:
    """Print what a removal would take; 1 if that is nothing."""
    from curate.provenance.takedown import look as search

    rows = search(out, selectors=selectors)
    for row in rows:
        print(f"{row.key}  {row.found_by}")
    print(f"{len(rows):,} rows would go; nothing was changed")
    return 0 if rows else 1


def remove(
    out: Path, selectors: Selectors, *, reason: str, checkpoints: Sequence[Path], as_json: bool
) -> int:
    """Remove and print the receipt; 1 if no row matched."""
    from curate.provenance.takedown import remove as take_down

    receipt = take_down(
        out, selectors=selectors, reason=reason, write_pages=write_pages, checkpoints=checkpoints
    )
    return _told(receipt, as_json=as_json)


def finish(out: Path, *, as_json: bool) -> int:
    """End a removal that was killed; 0 also if there is none."""
    from curate.provenance.takedown import finish as end

    receipt = end(out, write_pages=write_pages)
    if receipt is None:
        print("no removal waits to be finished")
        return 0
    return _told(receipt, as_json=as_json)


def _told(receipt: Receipt, *, as_json: bool) -> int:
    print(receipt.to_bytes().decode() if as_json else receipt.to_text())
    return 0 if receipt.rows else 1


def verify_removal(out: Path, *, also: Sequence[Path], as_json: bool) -> int:
    """Print what is left of removed rows; 1 if anything is."""
    from curate.provenance.verify_removal import verify_removal as scan

    result = scan(out, also=also)
    print(result.to_json() if as_json else result.to_text())
    return 0 if result.ok else 1


def recheck(out: Path, *, sample: int, seed: int, contact: str | None, as_json: bool) -> int:
    """Print what drifted; 1 if anything did."""
    from curate.provenance.recheck import recheck as look_again

    result = look_again(out, sample=sample, seed=seed, contact=contact)
    print(result.to_json() if as_json else result.to_text())
    return 1 if result.drifted else 0
