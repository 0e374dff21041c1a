"""The dataset's part of a public summary of training content (Regulation (EU) 2024/1689, art. 53(1)(d)).

Sections and numbers follow the European Commission's template. Only what the dataset's files show
is filled in; what a provider of a model must say of itself is left to the provider, by name.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from curate.license.reservations import ROBOTS_TXT, TDM_RESERVATION
from curate.provenance.attribution import appearing
from curate.provenance.eu_evidence import Evidence, gather
from curate.provenance.eu_reservations import honoured, stage_of
from curate.provenance.eu_text import markdown
from curate.provenance.licensing import (
    CLAIM_NOT_TRUTH,
    NOT_CLEARED,
    Licensing,
    exceptions,
    pages_skipped,
)  # fmt: skip
from curate.sources.known import kinds
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles

MARKDOWN, JSON, HOSTS = "EU-SUMMARY.md", "EU-SUMMARY.json", "EU-SUMMARY-hosts.csv"
FORMAT: Final = "curate-training-content/1"
PROVIDER: Final = "for the provider of the model to state"
NOT_SHOWN: Final = "not shown by the dataset's files"
_RANGES: Final = ((1_000_000, "Less than 1 million images"),
                  (1_000_000_000, "1 million to 1 billion images"))  # fmt: skip
_OWN_FILES: Final = ("table", "folder", "demo")
"""Source kinds that read the user's own files: where those are from, nothing here shows."""
_LISTED: Final = 50


def write_eu_summary(dataset: Dataset, told: Licensing, root: Path) -> dict[str, Any]:
    """Write the summary as Markdown and JSON, and the hosts as CSV, into `root`; returns the JSON."""
    seen = gather(dataset)
    value = eu_summary(dataset, told, seen)
    files = LocalFiles(root)
    files.publish(JSON, json.dumps(value, indent=1, ensure_ascii=False).encode() + b"\n")
    files.publish(MARKDOWN, markdown(value).encode())
    with (
        appearing(root / HOSTS) as path,
        path.open("w", encoding="utf-8", newline="") as stream,
    ):
        out = csv.writer(stream)
        out.writerow(seen.hosts.column_names)
        for row in seen.top_hosts(small_provider=False):
            out.writerow([f"'{row['host']}" if row["host"][:1] in "=+-@" else row["host"],
                          row["bytes"], row["pictures"]])  # fmt: skip
    return value


def eu_summary(dataset: Dataset, told: Licensing, seen: Evidence) -> dict[str, Any]:
    """The summary as a JSON value, by the template's sections."""
    recipe = dataset.record["recipe"]
    return {
        "format": FORMAT,
        "template": "Template for the Public Summary of Training Content for general-purpose AI models "
        "(European Commission, Article 53(1)(d) of Regulation (EU) 2024/1689)",
        "covers": f"the dataset {dataset.manifest.recipe_name}, dataset_digest "
        f"{dataset.manifest.dataset_digest}, and no other data that a model was trained on",
        "1 General information": _general(seen),
        "2 List of data sources": {
            "2.1 Publicly available datasets": _datasets(dataset, recipe),
            "2.2 Private datasets obtained from third parties": NOT_SHOWN,
            "2.3 Data crawled and scraped from online sources": _crawled(recipe, seen),
            "2.4 User data": NOT_SHOWN,
            "2.5 Synthetic data": _synthetic(recipe, seen),
            "2.6 Other sources of data": _local(seen),
        },
        "3 Data processing aspects": {
            "3.1 Respect of reservation of rights": _reservations(dataset, recipe),
            "3.2 Removal of illegal content": "The recipe has no stage that looks for illegal content. "
            f"Rows removed on request: {dataset.manifest.counts.rejected.get('removed', 0):,}.",
            "3.3 Other information": _licences(told),
        },
    }


def _general(seen: Evidence) -> dict[str, Any]:
    size = next(
        (name for bound, name in _RANGES if seen.pictures < bound), "More than 1 billion images"
    )
    return {
        "1.1 Provider identification": PROVIDER,
        "1.2 Model identification": PROVIDER,
        "1.3 Modalities, size and other characteristics": {
            "image": {"size": size, "pictures": seen.pictures,
                      "bytes of the pictures as fetched or read": seen.picture_bytes,
                      "types of content": NOT_SHOWN},
            "text": {"captions": sum(seen.captions.values()),
                     "captions by stated language": seen.languages,
                     "types of content": "captions of the pictures"},
            "latest date of data acquisition": _month(seen.last) or NOT_SHOWN,
        },
    }  # fmt: skip


def _datasets(dataset: Dataset, recipe: dict[str, Any]) -> dict[str, Any]:
    """The source of the candidates: a list of pictures, whatever became of them."""
    source = recipe["source"]
    kind = str(source["kind"])
    found = kinds().get(kind)
    own = kind in _OWN_FILES
    return {
        "name": source.get("name") or kind,
        "kind of source": kind,
        "publicly available": NOT_SHOWN if own else "read with this project's adapter for it; see its terms",
        "what its licence claims are worth": (found.WORTH if found else "") or NOT_SHOWN,
        "candidates": dataset.manifest.counts.candidates,
        "kept": dataset.manifest.counts.kept,
        "files": [
            {name: item.get(name) for name in ("name", "bytes", "sha256")}
            for item in dataset.record.get("inputs", [])[:_LISTED]
        ],
        "number of files": len(dataset.record.get("inputs", [])),
    }  # fmt: skip


def _crawled(recipe: dict[str, Any], seen: Evidence) -> dict[str, Any] | str:
    download = stage_of(recipe, "download")
    if download is None or not seen.fetched:
        return "No kept picture was fetched by this run."
    rate = download.get("requests_per_second_per_host")
    return {
        "crawler name": download.get("user_agent", "curate"),
        "purpose": "to fetch the pictures that the source lists, at the addresses it lists",
        "behaviour": [
            *_asks_first(download),
            "otherwise asks for listed addresses only and follows no links but redirects "
            f"(at most {download.get('max_redirects', 5)})",
            f"at most {download.get('connections_per_host', 8)} connections to a host"
            + (f" and {rate:g} requests a second a worker" if rate else ", without a bound on their rate"),
            "gives no credentials, so it passes no paywall and no login, and solves no captcha",
            "fetches nothing before its licence was accepted",
        ],
        "period": {"from": _month(seen.first), "to": _month(seen.last),
                   "first fetch": seen.first, "last fetch": seen.last},
        "modality": "image",
        "pictures": seen.fetched,
        "hosts": len(seen.hosts),
        "most relevant domain names": {
            "rule": "the tenth of all host names with the most bytes of kept pictures "
            f"(whole list: {HOSTS}; a picture counts for the host that answered)",
            "hosts": seen.top_hosts(small_provider=False)[:_LISTED],
            "listed of": len(seen.top_hosts(small_provider=False)),
            "for a small or medium-sized provider": len(seen.top_hosts(small_provider=True)),
        },
    }  # fmt: skip


def _asks_first(download: dict[str, Any]) -> Iterator[str]:
    """The files and pages that are read for reservations before any picture."""
    named = download.get("honour_reservations", ())
    files = {ROBOTS_TXT: "robots.txt", TDM_RESERVATION: "/.well-known/tdmrep.json"}
    asked = [file for name, file in files.items() if name in named]
    if asked:
        yield f"asks each origin for its {' and '.join(asked)} before any picture of it"
    if not pages_skipped(download):
        yield "asks each picture's landing page what it reserves"


def _synthetic(recipe: dict[str, Any], seen: Evidence) -> dict[str, Any] | str:
    if recipe["source"]["kind"] == "demo":
        return "Every picture is drawn by this project's own program, and its caption with it."
    if not seen.caption_models:
        return (
            "No caption is recorded as made by a model. Whether pictures are is " + NOT_SHOWN + "."
        )
    return {"captions made by models": dict(seen.caption_models.most_common())}


def _local(seen: Evidence) -> str:
    read = seen.pictures - seen.fetched
    return f"{read:,} kept pictures were read from files, not fetched." if read else "None."


def _reservations(dataset: Dataset, recipe: dict[str, Any]) -> dict[str, Any]:
    """What was looked at, what it kept out, and what the recipe ignores by name."""
    counts = dataset.manifest.counts
    kinds = ("reservation", "reservation_unknown")
    out = {
        r: n for r, n in {**counts.rejected, **counts.failed}.items() if r.split(":")[0] in kinds
    }
    removed = counts.rejected.get("removed", 0)
    return {
        "looked at and honoured": honoured(recipe) or "nothing: the recipe has no stage that does",
        "ignored by the recipe": list(exceptions(recipe)) or "nothing",
        "rows kept out, by reservation": out or "none",
        "rows removed on request": removed,
    }


def _licences(told: Licensing) -> dict[str, Any]:
    return {
        "pictures by licence": told.by_license or "licence: not audited",
        "pictures by rung of evidence": {f"L{level}": n for level, n in told.by_level.items()},
        "remarks": [*told.warnings, CLAIM_NOT_TRUTH, NOT_CLEARED],
    }


def _month(day: str | None) -> str | None:
    """MM/YYYY, as the template has it."""
    return f"{day[5:7]}/{day[:4]}" if day else None
