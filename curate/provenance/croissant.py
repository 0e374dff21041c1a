"""croissant.json: the dataset in MLCommons Croissant, with every file's hash and each row's licence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from curate import columns as c
from curate.provenance.attribution import PARQUET
from curate.provenance.licenses_page import LICENSES as LICENSES_PAGE
from curate.provenance.licensing import CLAIM_NOT_TRUTH, Licensing, known_tool
from curate.store.commit import FileEntry
from curate.store.dataset import Dataset
from curate.store.digest import file_sha256
from curate.store.files import LocalFiles

CROISSANT = "croissant.json"
FIELDS: Final = {
    c.KEY.name: ("sc:Text", "Key of the row: sha256 of source and source id."),
    c.IMAGE.name: ("sc:ImageObject", "The picture: upright, sRGB, re-encoded."),
    c.WIDTH.name: ("sc:Integer", "Width of the stored picture in pixels."),
    c.HEIGHT.name: ("sc:Integer", "Height of the stored picture in pixels."),
    c.LICENSE.name: ("sc:Text", "Canonical id of this picture's licence."),
    c.LICENSE_EXPRESSION.name: ("sc:Text", "The SPDX expression as claimed."),
    c.EVIDENCE_LEVEL.name: (
        "sc:Integer",
        "Rung of the evidence ladder, 0 to 5. " + CLAIM_NOT_TRUTH,
    ),
    c.STORED_SHA256.name: ("sc:Text", "sha256 of the stored picture."),
    c.ORIGINAL_SHA256.name: ("sc:Text", "sha256 of the bytes that were fetched."),
}
CREDIT_FIELDS: Final = {
    "key": ("sc:Text", "Key of a kept picture, the same as in the record set `pictures`."),
    "license": ("sc:Text", "Canonical id of this picture's licence, as in the set `licenses`."),
    "license_url": ("sc:URL", "Address of this picture's licence."),
    "text": ("sc:Text", "The credit line, as the licence asks for it."),
    "title": ("sc:Text", "Title as the source gives it."),
    "creator": ("sc:Text", "Author as the source or the file gives it."),
    "source_url": ("sc:URL", "Page or address of the picture at its source."),
    "changes": ("sc:Text", "What was done to the picture."),
    "missing": ("sc:Text", "What the licence asks for and nobody stated."),
    "withheld": ("sc:Boolean", "Whether the licensor asked for no credit."),
}
LEDGER_FIELDS: Final = {
    c.KEY.name: ("sc:Text", "Key of the candidate, the same as in the record set `pictures`."),
    c.VERDICT.name: ("sc:Text", "kept, rejected or failed."),
    c.REASON.name: ("sc:Text", "Why it was rejected or failed."),
}
PICTURES: Final = (
    "Rows alive after the first pass, also those that a later pass rejected: the kept rows are those "
    "whose key has the verdict `kept` in the record set `verdicts`."
)
VERDICTS: Final = "One verdict for every candidate."
CREDITS: Final = "The licence and credit of every kept picture, one record each."
LICENSES: Final = "Every licence of the kept pictures; none covers them all unless it stands alone."
LICENSE_PROPERTY: Final = "https://schema.org/license"
CONTEXT: Final = {
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs", "column": "cr:column",
    "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet", "format": "cr:format",
    "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath",
    "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/", "recordSet": "cr:recordSet",
    "references": "cr:references", "regex": "cr:regex", "repeated": "cr:repeated",
    "replace": "cr:replace", "samplingRate": "cr:samplingRate", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip


def write_croissant(dataset: Dataset, told: Licensing, root: Path) -> dict[str, Any]:
    """Write croissant.json into `root`, where the credits are; returns what was written."""
    credits = root / PARQUET
    value = croissant(dataset, told, credits=credits if credits.is_file() else None)
    text = json.dumps(value, indent=1, ensure_ascii=False)
    LocalFiles(root).publish(CROISSANT, text.encode() + b"\n")
    return value


def croissant(dataset: Dataset, told: Licensing, *, credits: Path | None = None) -> dict[str, Any]:
    """The Croissant description: a FileObject a file; pictures, verdicts, credits and licences.

    Titles, authors and addresses come from the credits, which honour requests to leave them out.
    """
    images, ledger = _entries(dataset, "images"), _entries(dataset, "ledger")
    have = dataset.schema(images[0]).names if images else []
    files = [*(_file(entry) for entry in (*images, *ledger)),
             _file_set("images", images), _file_set("ledger", ledger)]  # fmt: skip
    fields = {name: said for name, said in FIELDS.items() if name in have}
    records = [_record_set("pictures", PICTURES, {"fileSet": {"@id": "images"}}, fields),
               _record_set("verdicts", VERDICTS, {"fileSet": {"@id": "ledger"}}, LEDGER_FIELDS)]  # fmt: skip
    if credits is not None:
        files.append(_credits_file(credits))
        source = {"fileObject": {"@id": PARQUET}}
        records.append(_record_set("credits", CREDITS, source, CREDIT_FIELDS))
    if told.by_license:
        records.append(_licenses(told))
    return {**_head(dataset, told), "distribution": files, "recordSet": records}


def _head(dataset: Dataset, told: Licensing) -> dict[str, Any]:
    manifest = dataset.manifest
    licenses = "; ".join(f"{name}: {count}" for name, count in told.by_license.items())
    per_row = (
        f"Each picture has its own licence, in the field `license` ({licenses})."
        if told.audited
        else ""
    )
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest.recipe_name,
        "description": " ".join([
            f"{manifest.counts.kept} captioned pictures kept from {manifest.counts.candidates} candidates.",
            per_row, *told.warnings, CLAIM_NOT_TRUTH,
        ]),
        "version": f"{manifest.version}.0.0",
        "datePublished": str(dataset.record.get("finished_at", ""))[:10],
        "license": told.urls or [LICENSES_PAGE],
        "url": "README.md",
        "citeAs": f"{manifest.recipe_name}, dataset_digest {manifest.dataset_digest}",
    }  # fmt: skip


def _entries(dataset: Dataset, layer: str) -> list[FileEntry]:
    return [entry for shard in dataset.layer(layer).shards if (entry := shard.file("data"))]


def _file(entry: FileEntry) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject", "@id": entry.path, "name": entry.path, "contentUrl": entry.path,
        "contentSize": f"{entry.bytes} B", "encodingFormat": "application/x-parquet",
        "sha256": entry.sha256,
    }  # fmt: skip


def _file_set(name: str, entries: list[FileEntry]) -> dict[str, Any]:
    """The files of a layer by name: a pattern would also take in files nobody published."""
    return {
        "@type": "cr:FileSet", "@id": name, "name": name,
        "encodingFormat": "application/x-parquet", "includes": [entry.path for entry in entries],
    }  # fmt: skip


def _credits_file(path: Path) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject", "@id": PARQUET, "name": PARQUET, "contentUrl": PARQUET,
        "contentSize": f"{path.stat().st_size} B", "encodingFormat": "application/x-parquet",
        "sha256": file_sha256(path),
    }  # fmt: skip


def _licenses(told: Licensing) -> dict[str, Any]:
    """A record a licence, written out here: id, address and rows."""
    kinds = {"id": "sc:Text", "url": "sc:URL", "pictures": "sc:Integer"}
    fields = [
        {"@type": "cr:Field", "@id": f"licenses/{name}", "name": name, "dataType": kind}
        for name, kind in kinds.items()
    ]
    data = [
        {"licenses/id": name, "licenses/url": tool.url if tool else "", "licenses/pictures": rows}
        for name, rows in told.by_license.items()
        for tool in [known_tool(name)]
    ]
    return {
        "@type": "cr:RecordSet", "@id": "licenses", "name": "licenses", "description": LICENSES,
        "key": {"@id": "licenses/id"}, "field": fields, "data": data,
    }  # fmt: skip


def _record_set(
    name: str, description: str, files: dict[str, Any], fields: Mapping[str, tuple[str, str]]
) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet", "@id": name, "name": name, "description": description,
        "key": {"@id": f"{name}/{c.KEY.name}"},
        "field": [_field(name, files, *told) for told in fields.items()],
    }  # fmt: skip


def _field(records: str, files: dict[str, Any], name: str, said: tuple[str, str]) -> dict[str, Any]:
    kind, description = said
    source: dict[str, Any] = {**files, "extract": {"column": name}}
    if kind == "sc:ImageObject":
        source["transform"] = {"jsonPath": "bytes"}
    field = {
        "@type": "cr:Field", "@id": f"{records}/{name}", "name": name, "description": description,
        "dataType": kind, "source": source,
    }  # fmt: skip
    if name in (c.LICENSE.name, "license_url"):
        field["equivalentProperty"] = LICENSE_PROPERTY
    return field
