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
from curate.plan import PLAN
from curate.provenance.findings import AuditResult
from curate.provenance.lineage import input_digests
from curate.recipe import Recipe, recipe_from
from curate.sources.keys import row_key
from curate.store.commit import Commit, FileEntry, commit_path, encode, shard_id
from curate.store.digest import bytes_sha256, table_digest
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


def build(base: Path, *, models: str | None = None, policy: Any = "sharealike") -> Path:
    """Run a recipe over the rows, inline; returns the dataset directory.

    Without models it ends with the pictures; with a model directory (`clip`, `vae`) or
    `builtin:tiny` features and latents follow.
    """
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
        {"kind": "license", "policy": policy},
        {"kind": "captions"},
        {"kind": "read_file", "root": str(folder)},
        {"kind": "inspect"},
        {"kind": "embedded"},
        {"kind": "resolution", "min_side": 64},
        {"kind": "aspect"},
    ]
    passes = [{"layer": "images", "stages": stages, "barrier": {"kind": "duplicates"}}]
    if models is not None:
        passes = [passes[0], *features(models)]
        stages.append({"kind": "buckets", "sizes": [[64, 64]]})
    value = {"name": "photos", "source": source, "shard_rows": 32, "passes": passes}
    run_inline(recipe_from(value, origin="test"), base / "out")
    return base / "out"


def features(models: str) -> list[dict[str, Any]]:
    """Two passes with encoders: scores under a threshold, and latents."""
    clip, vae = (models if ":" in models else f"{models}/{part}" for part in ("clip", "vae"))
    barrier = {"kind": "threshold", "column": "clip_score", "quantile": 0.1}
    scored = {"layer": "features/clip", "stages": [{"kind": "clip_score", "model": clip}]}
    return [scored | {"barrier": barrier},
            {"layer": "features/latents", "stages": [{"kind": "vae", "model": vae}]}]  # fmt: skip


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

    def _commit(self, commit: Commit, shard: Any) -> Any:
        from curate.store.commit import count_marks

        marks, data = commit.file("marks"), commit.file("data")
        table = self.table(marks) if marks else None
        dead = marks.rows if marks else 0
        rows_in = data.rows + dead if data else commit.rows_in
        name = shard_id(
            layer=commit.layer,
            part=commit.part,
            fingerprint=commit.fingerprint,
            input_digest=commit.input_digest,
        )
        new = commit.model_copy(
            update={
                "shard_id": name,
                "rows_in": rows_in,
                "rows_out": rows_in - dead,
                "marked": count_marks(table) if table is not None else {},
            }
        )
        self.files.publish(new.path, new.to_bytes())
        sha256 = bytes_sha256(new.to_bytes())
        return shard.model_copy(
            update={"files": new.files, "shard_id": name, "commit_sha256": sha256}
        )

    def made_from(self, digests: dict[tuple[str, str], str]) -> None:
        """Make the commits of (layer, part) name these inputs, under names that fit them."""

        def changed(commit: Commit) -> Commit:
            digest = digests.get((commit.layer, commit.part), commit.input_digest)
            return commit.model_copy(update={"input_digest": digest})

        self._recommit(changed)

    def _recommit(self, change: Callable[[Commit], Commit]) -> None:
        """Replace every commit that a change alters."""
        before: dict[tuple[str, str], Commit] = {}
        for each in self.manifest.layers:
            for shard in each.shards:
                path = commit_path(each.name, shard.shard_id)
                old = Commit.model_validate_json(self.files.read(path))
                if change(old) != old:
                    before[each.name, shard.part] = old
        for old in before.values():
            (self.root / old.path).unlink()
        layers = []
        for each in self.manifest.layers:
            shards = list(each.shards)
            for place, shard in enumerate(shards):
                if (each.name, shard.part) in before:
                    new = change(before[each.name, shard.part])
                    renamed = shard.model_copy(update={"part": new.part})
                    shards[place] = self._commit(new, renamed)
            shards.sort(key=lambda shard: shard.part)
            layers.append(each.model_copy(update={"shards": shards}))
        self.manifest = self.manifest.model_copy(update={"layers": layers})

    def inputs(self) -> dict[tuple[str, str], str]:
        """What each shard would have to be made from to fit the forged files before it."""
        return input_digests(self.manifest, self.recipe())

    def recipe(self) -> Recipe:
        """The recipe that the plan keeps."""
        return recipe_from(json.loads(self.files.read(PLAN))["recipe"], origin=PLAN)

    def layer(self, ending: str) -> str:
        """The full name of the layer whose name ends so."""
        [name] = [each.name for each in self.manifest.layers if each.name.endswith(ending)]
        return name

    def swap_parts(self, one: str, two: str) -> None:
        """Give each of two parts the other's name in every layer and commit."""
        names = {one: two, two: one}
        self._recommit(lambda old: old.model_copy(update={"part": names.get(old.part, old.part)}))

    def _replan(self) -> None:
        """Make PLAN.json name the plan's commits as they are now, with as many rows as they hold."""
        [layer] = [each for each in self.manifest.layers if each.name == "plan"]
        plan = json.loads(self.files.read(PLAN))
        plan["shards"] = {shard.part: shard.shard_id for shard in layer.shards}
        plan["rows"] = sum(entry.rows for shard in layer.shards for entry in shard.files)
        body = json.dumps(plan, indent=1, ensure_ascii=False).encode()
        self.files.publish(PLAN, body + b"\n")

    def publish(self, *, recount: bool = True, relink: bool = True, **record: Any) -> None:
        """Write manifest and record with digests (and the ledger's counts) that fit the forgery."""
        if relink:
            self.made_from(self.inputs())
        self._replan()
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
