"""README.md of a dataset: a Hugging Face card that names every licence and claims no more than is known.

Rows of several licences never get one blanket licence: the front matter says `other` and points to
the attribution file, and each row carries its own.
"""

from __future__ import annotations

from typing import Any, Final

import yaml

from curate.license.tools import TOOLS
from curate.provenance.licensing import CLAIM_NOT_TRUTH, NOT_CLEARED, Licensing, licensing
from curate.store.dataset import Dataset

README = "README.md"
SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
                (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"))  # fmt: skip
FILES_LISTED: Final = 200
HUB_IDS: Final = frozenset({
    "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
})  # fmt: skip
"""Licence ids that the Hub's front matter knows, of those this project may accept."""


def write_card(dataset: Dataset) -> str:
    """Write README.md; returns its text."""
    told = licensing(dataset)
    front = yaml.safe_dump(_front_matter(dataset, told), sort_keys=False, allow_unicode=True)
    text = f"---\n{front}---\n\n" + "\n\n".join(_sections(dataset, told)) + "\n"
    dataset.files.publish(README, text.encode())
    return text


def _front_matter(dataset: Dataset, told: Licensing) -> dict[str, Any]:
    kept = dataset.manifest.counts.kept
    size = next((name for bound, name in SIZES if kept < bound), "n>100M")
    entries = [entry for shard in dataset.layer("images").shards if (entry := shard.file("data"))]
    files = [entry.path for entry in entries if entry.rows]
    if len(files) > FILES_LISTED or not files:
        files = ["images/data/*.parquet"]
    return {
        **_license_fields(told),
        "pretty_name": dataset.manifest.recipe_name,
        "task_categories": ["text-to-image"],
        "size_categories": [size],
        "configs": [{"config_name": "images", "data_files": [{"split": "train", "path": files}]}],
    }


def _license_fields(told: Licensing) -> dict[str, Any]:
    """One licence only where every row has it and the Hub knows it."""
    ids = [name.lower() for name in told.by_license]
    if len(ids) == 1 and ids[0] in HUB_IDS:
        return {"license": ids[0]}
    name = "per-picture" if told.audited else "not-audited"
    return {"license": "other", "license_name": name, "license_link": "ATTRIBUTION.csv"}


def _sections(dataset: Dataset, told: Licensing) -> list[str]:
    manifest = dataset.manifest
    counts = manifest.counts
    rejected, failed = sum(counts.rejected.values()), sum(counts.failed.values())
    sections = [
        f"# {_inline(manifest.recipe_name)}",
        f"{counts.kept:,} captioned pictures, kept from {counts.candidates:,} candidates "
        f"({rejected:,} rejected, {failed:,} failed). Every candidate has one verdict in `ledger/`.",
        "## Licences",
        *(f"**{warning}**" for warning in told.warnings),
    ]
    if told.audited:
        sections += [_license_table(told), _level_table(told), CLAIM_NOT_TRUTH]
    sections += [
        "Each row carries its own licence, the raw claims it rests on, and its source; credit lines "
        "are in [ATTRIBUTION.html](ATTRIBUTION.html), ATTRIBUTION.csv and ATTRIBUTION.parquet.",
        NOT_CLEARED,
        "## What was left out",
        _count_table(("reason", "rows"), {**counts.rejected, **counts.failed}),
        "Pictures rejected for their licence or for a reservation of rights were not fetched or not kept.",
        *_how(dataset),
    ]
    return sections


def _license_table(told: Licensing) -> str:
    rows = ["| licence | pictures |", "|---|---|"]
    for name, count in told.by_license.items():
        tool = TOOLS.get(name)
        rows.append(f"| {f'[{name}]({tool.url})' if tool else _inline(name)} | {count:,} |")
    groups = ", ".join(f"{group} {count:,}" for group, count in told.by_group.items())
    return "\n".join(rows) + f"\n\nBy group, each in shards of its own: {groups or 'none'}."


def _level_table(told: Licensing) -> str:
    levels = {f"{level}: {LEVELS.get(level, 'unknown')}": n for level, n in told.by_level.items()}
    return _count_table(("evidence for the licence", "pictures"), levels)


LEVELS: Final = {
    "L5": "value bound to the item by its source",
    "L4": "embedded in the file, or a copy of the source's value",
    "L3": "markup about the item",
    "L2": "claim about the page",
    "L1": "footer or free text",
    "L0": "none, or a declaration",
}


def _count_table(head: tuple[str, str], counts: dict[str, int]) -> str:
    rows = [f"| {head[0]} | {head[1]} |", "|---|---|"]
    rows += [f"| {_inline(name)} | {count:,} |" for name, count in counts.items()]
    return "\n".join(rows)


def _how(dataset: Dataset) -> list[str]:
    manifest = dataset.manifest
    models = [
        f"- `{layer.name}`, {kind}: {_inline(info.ref)}, digest `{info.digest[:16]}`"
        for layer in manifest.layers for kind, info in layer.models.items()
    ]  # fmt: skip
    return [
        "## How it was made, and how to check it",
        *(
            ["Scores and features come from these models:\n\n" + "\n".join(models)]
            if models
            else []
        ),
        "The recipe and the account of the run are in `record.json`; `MANIFEST.json` names every file "
        "by hash. `images/data` also holds rows that a later pass rejected: the kept set is "
        "`ledger` where `verdict = 'kept'`.",
        f"```\ncurate audit . --hashes\n\ndataset_digest {manifest.dataset_digest}\n"
        f"bytes_digest   {manifest.bytes_digest}\n```",
        "`curate explain . KEY` tells the story of one picture, from raw claim to every file that holds it.",
    ]


def _inline(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no table cell breaks."""
    plain = " ".join(text.split())
    return "".join(f"\\{ch}" if ch in "\\`*_[]<>|#!" else ch for ch in plain)
