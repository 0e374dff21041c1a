"""A small finished dataset for the audit's tests, and a forger who leaves no trace but the lie.

The forger rewrites a file and then everything that names it: commit, manifest, digests, record.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from curate.engine import run_inline
from curate.provenance.findings import AuditResult
from curate.recipe import recipe_from
from curate.sources.keys import row_key
from curate.store.commit import Commit, FileEntry, commit_path, encode, shard_id
from curate.store.digest import bytes_sha256, json_digest, table_digest
from curate.store.files import LocalFiles
from curate.store.manifest import (
    MANIFEST,
    RECORD,
    Manifest,
    bytes_digest,
    dataset_digest,
    record_bytes,
)

CC = "https://creativecommons.org/licenses"
NASTY = '<script>alert("x")</script>'


def picture(seed: int, side: int = 80) -> Image.Image:
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return Image.fromarray(small, "RGB").resize((side, side), Image.Resampling.BICUBIC)


def jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=95)
    return out.getvalue()


def rows(folder: Path) -> list[dict[str, Any]]:
    """40 rows: good ones, a duplicate, small, corrupt and missing ones, licences of every sort."""
    found = []
    for n in range(40):
        image = picture(12 if n == 30 else n, 30 if n in (5, 6) else 80)
        data = jpeg(image)[:200] if n == 7 else jpeg(image)
        if n != 8:
            (folder / f"{n}.jpg").write_bytes(data)
        row = {"id": f"p{n}", "file": f"{n}.jpg", "caption": f"a picture number {n}", "by": "Ann"}
        row |= {
            "title": f"Title {n}",
            "page": f"https://photos.example/{n}",
            "license": f"{CC}/by/4.0/",
        }
        found.append(row)
    for n, text in {
        1: f"{CC}/by-sa/4.0/",
        2: f"{CC}/by-nc/4.0/",
        3: "all rights reserved",
        4: None,
    }.items():
        found[n]["license"] = text
    for n in range(20, 26):
        found[n]["license"] = f"{CC}/by-sa/3.0/"
    found[9]["caption"] = ""
    found[10]["title"] = NASTY
    found[11]["by"] = "=cmd|' /C calc'!A0"
    found[12]["page"] = "javascript:alert(1)"
    found[13]["id"] = "p14"
    found[15]["caption"] = "x" * 100_000
    found[16] |= {"by": None, "page": None}
    return found


def build(base: Path) -> Path:
    """Run a recipe over the rows, inline and without models; returns the dataset directory."""
    folder = base / "pictures"
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows(folder))
    (folder / "rows.jsonl").write_text(lines)
    columns = {"id": "id", "path": "file", "captions": ["caption"], "title": "title"}
    columns |= {"creator": "by", "landing_url": "page"}
    claim = {"column": "license", "kind": "url", "level": 5, "claimed_by": "photos.example"}
    source = {"kind": "table", "name": "photos", "path": str(folder / "rows.jsonl")}
    source |= {"columns": columns, "licenses": [claim], "retrieved_at": "2024-05-01"}
    stages = [
        {"kind": "license", "policy": "sharealike"},
        {"kind": "captions"},
        {"kind": "read_file", "root": str(folder)},
        {"kind": "inspect"},
        {"kind": "resolution", "min_side": 64},
        {"kind": "aspect"},
    ]
    passes = [{"layer": "images", "stages": stages, "barrier": {"kind": "duplicates"}}]
    value = {"name": "photos", "source": source, "shard_rows": 32, "passes": passes}
    run_inline(recipe_from(value, origin="test"), base / "out")
    return base / "out"


Edit = Callable[[pa.Table], pa.Table]


class Forger:
    """Changes a dataset and makes every file that names the change agree with it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = LocalFiles(root)
        self.manifest = Manifest.model_validate_json(self.files.read(MANIFEST))

    def entry(self, layer: str, role: str, holding: str | None = None) -> tuple[str, FileEntry]:
        """(part, file) of the first shard of a layer that has rows, or that holds a key."""
        for shard in next(each for each in self.manifest.layers if each.name == layer).shards:
            for entry in shard.files:
                if entry.role == role and entry.rows:
                    keys = self.table(entry)["key"].to_pylist()
                    if holding is None or holding in keys:
                        return shard.part, entry
        raise AssertionError(f"no {role} of {layer} holds {holding}")

    def table(self, entry: FileEntry) -> pa.Table:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.root / entry.path).read()

    def rewrite(self, layer: str, part: str, role: str, edit: Edit) -> None:
        """Edit one file and its commit, under names that fit the new content."""
        layers = []
        for each in self.manifest.layers:
            shards = [
                self._forged(each.name, shard, role, edit)
                if (each.name, shard.part) == (layer, part)
                else shard
                for shard in each.shards
            ]
            layers.append(each.model_copy(update={"shards": shards}))
        self.manifest = self.manifest.model_copy(update={"layers": layers})

    def _forged(self, layer: str, shard: Any, role: str, edit: Edit) -> Any:
        files = []
        for entry in shard.files:
            if entry.role == role:
                table = edit(self.table(entry))
                data = encode(table)
                (self.root / entry.path).unlink()
                path = entry.path.rpartition("-")[0] + f"-{bytes_sha256(data)[:16]}.parquet"
                self.files.publish(path, data)
                entry = FileEntry(
                    role=entry.role, path=path, rows=len(table), bytes=len(data),
                    sha256=bytes_sha256(data), content_digest=table_digest(table),
                )  # fmt: skip
            files.append(entry)
        old = Commit.model_validate_json(self.files.read(commit_path(layer, shard.shard_id)))
        (self.root / old.path).unlink()
        return self._commit(old.model_copy(update={"files": files}), shard)

    def _commit(self, commit: Commit, shard: Any, input_digest: str | None = None) -> Any:
        from curate.store.commit import count_marks

        marks = commit.file("marks")
        table = self.table(marks) if marks else None
        digest = input_digest or commit.input_digest
        if commit.layer == "plan" and (data := commit.file("data")):
            digest = json_digest(self.table(data)["key"].to_pylist())
        rows_in = commit.rows_in
        name = shard_id(
            layer=commit.layer,
            part=commit.part,
            fingerprint=commit.fingerprint,
            input_digest=digest,
        )
        new = commit.model_copy(
            update={
                "shard_id": name,
                "input_digest": digest,
                "rows_out": rows_in - (len(table) if table is not None else 0),
                "marked": count_marks(table) if table is not None else {},
            }
        )
        self.files.publish(new.path, new.to_bytes())
        sha256 = bytes_sha256(new.to_bytes())
        return shard.model_copy(
            update={"files": new.files, "shard_id": name, "commit_sha256": sha256}
        )

    def _relink_ledger(self) -> None:
        """The ledger's commits name their inputs: make them name the forged ones."""
        layers = []
        for each in self.manifest.layers:
            shards = list(each.shards)
            if each.name == "ledger":
                for place, shard in enumerate(shards):
                    own = [
                        s for la in self.manifest.layers if la.name != "ledger" for s in la.shards
                    ]
                    own = [s for s in own if s.part == shard.part]
                    digest = json_digest([[e.content_digest for e in s.files] for s in own])
                    path = commit_path("ledger", shard.shard_id)
                    old = Commit.model_validate_json(self.files.read(path))
                    (self.root / path).unlink()
                    shards[place] = self._commit(old, shard, digest)
            layers.append(each.model_copy(update={"shards": shards}))
        self.manifest = self.manifest.model_copy(update={"layers": layers})

    def rename_part(self, old: str, new: str) -> None:
        """Give a part another name in every layer, commit and in the plan."""
        layers = []
        for each in self.manifest.layers:
            shards = list(each.shards)
            for place, shard in enumerate(shards):
                if shard.part == old:
                    path = commit_path(each.name, shard.shard_id)
                    commit = Commit.model_validate_json(self.files.read(path))
                    (self.root / path).unlink()
                    renamed = commit.model_copy(update={"part": new})
                    shards[place] = self._commit(renamed, shard.model_copy(update={"part": new}))
            layers.append(each.model_copy(update={"shards": shards}))
        self.manifest = self.manifest.model_copy(update={"layers": layers})
        plan = json.loads(self.files.read("plan/PLAN.json"))
        plan["parts"] = [new if part == old else part for part in plan["parts"]]
        self.files.publish("plan/PLAN.json", json.dumps(plan, indent=1).encode() + b"\n")

    def publish(self, *, recount: bool = True, relink: bool = True, **record: Any) -> None:
        """Write manifest and record with digests (and the ledger's counts) that fit the forgery."""
        if relink:
            self._relink_ledger()
        update: dict[str, Any] = {
            "dataset_digest": dataset_digest(self.manifest.layers, self.manifest.tombstones),
            "bytes_digest": bytes_digest(self.manifest.layers),
        }
        if recount:
            update["counts"] = self._counts()
        manifest = self.manifest.model_copy(update=update)
        manifest = manifest.model_copy(update={"digest": manifest.self_digest()})
        self.files.publish(MANIFEST, manifest.to_bytes())
        body = json.loads(self.files.read(RECORD))
        body |= {
            "manifest_sha256": hashlib.sha256(manifest.to_bytes()).hexdigest(),
            "dataset_digest": manifest.dataset_digest,
            "bytes_digest": manifest.bytes_digest,
            "counts": manifest.counts.model_dump(mode="json"),
            **record,
        }
        self.files.publish(RECORD, record_bytes(body))

    def _counts(self) -> Any:
        from curate.publish import count

        ledger = next(each for each in self.manifest.layers if each.name == "ledger")
        commits = [
            Commit.model_validate_json(self.files.read(commit_path("ledger", shard.shard_id)))
            for shard in ledger.shards
        ]
        return count(self.files, {commit.part: commit for commit in commits})


def replaced(table: pa.Table, column: str, key: str, value: Any) -> pa.Table:
    """The table with one value of one row replaced."""
    place = table.column_names.index(column)
    values = table[column].to_pylist()
    values[table["key"].to_pylist().index(key)] = value
    field = table.schema.field(column)
    return table.set_column(place, field, pa.array(values, field.type))


def without(table: pa.Table, key: str) -> pa.Table:
    """The table without one row."""
    return table.filter(pa.array([found != key for found in table["key"].to_pylist()]))


def key(n: int) -> str:
    """The key of row n."""
    return row_key("photos", f"p{n}")


def refused(result: AuditResult, *named: str) -> None:
    """The audit failed, and one problem names all of this."""
    assert not result.ok
    found = any(all(word in problem for word in named) for problem in result.problems)
    assert found, result.problems
