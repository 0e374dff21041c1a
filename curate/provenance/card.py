"""README.md of a dataset: a Hugging Face card that names every licence and claims no more than is known.

Rows of several licences never get one blanket licence: the front matter says `other` and points to
the attribution file, and each row carries its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import yaml

from curate.license.evidence import LADDER
from curate.provenance.attribution_requests import withheld
from curate.provenance.licenses_page import LICENSES
from curate.provenance.licensing import CLAIM_NOT_TRUTH, NOT_CLEARED, Licensing, known_tool
from curate.provenance.markdown import inline, table
from curate.provenance.places import model_name
from curate.recipe import FIRST_LAYER
from curate.sources.known import kinds
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles
from curate.store.manifest import RECORD

README = "README.md"
LEDGER = "ledger"
SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
                (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"))  # fmt: skip
KEPT_SET: Final = (
    "`images/data` holds the rows that were alive after the first pass, also those that a later pass "
    "rejected (duplicates, captions that do not fit). The kept rows are those whose `key` has the "
    "verdict `kept` in `ledger/data`."
)
JOIN: Final = """\
```python
import os
from datasets import load_dataset

place = os.getcwd()  # this folder, or the name of the dataset on a hub
ledger = load_dataset(place, "ledger", split="train")
kept = {row["key"] for row in ledger if row["verdict"] == "kept"}
images = load_dataset(place, "images", split="train")
images = images.filter(lambda key: key in kept, input_columns="key")
```"""
HUB_IDS: Final = frozenset({
    "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
})  # fmt: skip
"""Licence ids that the Hub's front matter knows, of those this project may accept."""


def write_card(dataset: Dataset, told: Licensing, root: Path) -> str:
    """Write README.md into `root`; returns its text."""
    front = yaml.safe_dump(_front_matter(dataset, told), sort_keys=False, allow_unicode=True)
    text = f"---\n{front}---\n\n" + "\n\n".join(_sections(dataset, told)) + "\n"
    LocalFiles(root).publish(README, text.encode())
    return text


def _front_matter(dataset: Dataset, told: Licensing) -> dict[str, Any]:
    kept = dataset.manifest.counts.kept
    size = next((name for bound, name in SIZES if kept < bound), "n>100M")
    return {
        **_license_fields(told),
        "pretty_name": dataset.manifest.recipe_name,
        "task_categories": ["text-to-image"],
        "size_categories": [size],
        "configs": [_config(dataset, FIRST_LAYER, default=True), _config(dataset, LEDGER)],
    }


def _config(dataset: Dataset, layer: str, **more: bool) -> dict[str, Any]:
    """A layer's data files, each by name: a pattern would also take in files nobody published.

    Files of no rows are left out, since not every reader can open one.
    """
    entries = [entry for shard in dataset.layer(layer).shards if (entry := shard.file("data"))]
    files = [entry.path for entry in entries if entry.rows]
    return {
        "config_name": layer,
        "data_files": [{"split": "train", "path": files or [entry.path for entry in entries]}],
        **more,
    }


def _license_fields(told: Licensing) -> dict[str, Any]:
    """One licence only where every row has it and the Hub knows it; else `other` and the list."""
    ids = [name.lower() for name in told.by_license]
    if len(ids) == 1 and ids[0] in HUB_IDS:
        return {"license": ids[0]}
    if len(ids) == 1:
        return {"license": "other", "license_name": ids[0], "license_link": _link(told)}
    name = "per-picture" if told.audited else "not-audited"
    licenses = {"licenses": [*told.by_license]} if told.by_license else {}
    return {"license": "other", "license_name": name, "license_link": LICENSES, **licenses}


def _link(told: Licensing) -> str:
    """The address of the one licence of all rows, or the page that names what is known of it."""
    return told.urls[0] if told.urls else LICENSES


def _sections(dataset: Dataset, told: Licensing) -> list[str]:
    manifest = dataset.manifest
    counts = manifest.counts
    rejected, failed = sum(counts.rejected.values()), sum(counts.failed.values())
    sections = [
        f"# {inline(manifest.recipe_name)}",
        f"{counts.kept:,} captioned pictures, kept from {counts.candidates:,} candidates "
        f"({rejected:,} rejected, {failed:,} failed). Every candidate has one verdict in `ledger/`.",
        "## Licences",
        *(f"**{inline(warning)}**" for warning in told.warnings),
    ]
    if told.audited:
        sections += [_license_table(told), _level_table(told), CLAIM_NOT_TRUTH]
    sections += [
        f"What each licence asks, and what may be handed on together, is in [{LICENSES}]({LICENSES}).",
        "Each row carries its own licence, the raw claims it rests on, and its source; credit lines "
        "are in [ATTRIBUTION.html](ATTRIBUTION.html), ATTRIBUTION.csv and ATTRIBUTION.parquet.",
        NOT_CLEARED,
        *_origin(dataset),
        "## How to read it",
        KEPT_SET,
        JOIN,
        "## What was left out",
        _count_table(("reason", "rows"), {**counts.rejected, **counts.failed}),
        "Pictures rejected for their licence or for a reservation of rights were not fetched or not kept.",
        *_how(dataset),
    ]
    return sections


def _origin(dataset: Dataset) -> list[str]:
    """The source, what its claims are worth by its own account, and what was taken out on request."""
    if not dataset.files.exists(RECORD):
        return []
    source = dataset.record["recipe"]["source"]
    said = kinds()[source["kind"]].WORTH if source["kind"] in kinds() else ""
    worth = f" What its licence claims are worth: {inline(said)}" if said else ""
    told = [f"The candidates come from the source {inline(source.get('name') or source['kind'])} "
            f"({inline(source['kind'])}).{worth}"]  # fmt: skip
    removed = dataset.manifest.counts.rejected.get("removed", 0)
    if removed:
        told.append(f"Removed on request: {removed:,}. Do not put those pictures back.")
    hidden = len(withheld(dataset))
    if hidden:
        told.append(f"Credits withheld at the licensors' request: {hidden:,}.")
    return ["## Where it comes from", *told]


def _license_table(told: Licensing) -> str:
    tools = {name: known_tool(name) for name in told.by_license}
    rows = [
        (f"[{name}]({tool.url})" if tool else inline(name), told.by_license[name])
        for name, tool in tools.items()
    ]
    groups = ", ".join(f"{group} {count:,}" for group, count in told.by_group.items())
    text = table(("licence", "pictures"), rows)
    return f"{text}\n\nBy group, each in shards of its own: {groups or 'none'}."


def _level_table(told: Licensing) -> str:
    levels = {f"L{level}: {LADDER.get(level, 'unknown')}": n for level, n in told.by_level.items()}
    return _count_table(("evidence for the licence", "pictures"), levels)


def _count_table(head: tuple[str, str], counts: dict[str, int]) -> str:
    return table(head, ((inline(name), count) for name, count in counts.items()))


def _how(dataset: Dataset) -> list[str]:
    manifest = dataset.manifest
    models = [
        f"- `{layer.name}`, {kind}: {inline(model_name(info.ref))}, digest `{info.digest[:16]}`"
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
        "by hash.",
        f"```\ncurate audit . --hashes\n\ndataset_digest {manifest.dataset_digest}\n"
        f"bytes_digest   {manifest.bytes_digest}\n```",
        "`curate explain . KEY` tells the story of one picture, from raw claim to every file that holds it.",
    ]
