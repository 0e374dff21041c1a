"""Removal: one row out of about 100 shards, beside writing every shard anew without it.

    python -m benchmarks.removal [--rows 6400] [--shard-rows 64] [--runs 5]

Builds a dataset in a temporary folder (noisy JPEGs through the real stages, with CLIP scores and
latents of the tiny built-in models), then removes one row after another. The peer reads every
shard file, filters by key and writes it, as a tool without a plan of what a row touches has to.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from benchmarks.machine import seconds, store, summary
from curate.engine import run_inline
from curate.provenance import write_outputs
from curate.provenance.receipt import Receipt
from curate.provenance.takedown import Selectors, remove
from curate.provenance.verify_removal import verify_removal
from curate.recipe import Recipe, recipe_from
from curate.store.commit import encode
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles

SIDE: Final = 128
LAYERS: Final = ("plan", "images", "verdicts", "features", "ledger")


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=6400)
    parser.add_argument("--shard-rows", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="curate-removal-") as temporary:
        out = build(Path(temporary), rows=given.rows, shard_rows=given.shard_rows)
        found = measure(out, runs=given.runs)
    print(json.dumps(found, indent=1))
    print(store("removal", found, packages=["pyarrow", "pillow", "numpy"]))


def measure(out: Path, *, runs: int) -> dict[str, Any]:
    """Removals of one row each, the peer, and the scan that proves the last one."""
    keys = _kept(out, runs)
    before = _sizes(out)
    write_outputs(out)
    pages = [seconds(partial(write_outputs, out)) for _ in range(runs)]
    told, peer = [], []
    for key in keys:  # in turns, so that a neighbour's noise meets both; neither pays the other's
        os.sync()
        peer.append(_everything(out, key, out.parent / "anew"))
        os.sync()
        told.append(_one(out, key))
    write_outputs(out)
    scan = verify_removal(out)
    first = told[0][1]
    return {
        "rows": Dataset.open(out).manifest.counts.candidates,
        "parts": first.parts,
        "shard_files": len(before),
        "shard_bytes": sum(before.values()),
        "removal": {
            "seconds": summary([took for took, _ in told]),
            "seconds_of_pages_besides": summary(pages),
            "parts_touched": [len(receipt.parts_touched) for _, receipt in told],
            "rows_removed": [receipt.rows for _, receipt in told],
            "files_written": [_shards(receipt) for _, receipt in told],
            "bytes_written": [sum(f.bytes for f in receipt.rewritten) for _, receipt in told],
            "files_as_they_were": [receipt.kept_files for _, receipt in told],
        },
        "everything_anew": {
            "seconds": summary([took for took, _, _ in peer]),
            "files_written": peer[0][1],
            "bytes_written": peer[0][2],
        },
        "verify_removal": {
            "ok": scan.ok, "seconds": round(scan.seconds, 3), "files": scan.files,
            "bytes": scan.bytes, "pictures": scan.pictures,
        },
    }  # fmt: skip


def _one(out: Path, key: str) -> tuple[float, Receipt]:
    """Remove one row without its pages; seconds and receipt."""
    receipts: list[Receipt] = []

    def take() -> None:
        selectors = Selectors(keys=[key])
        receipts.append(
            remove(out, selectors=selectors, reason="a benchmark", write_pages=lambda _: None)
        )

    return seconds(take), receipts[0]


def _everything(out: Path, key: str, to: Path) -> tuple[float, int, int]:
    """Every shard file read, filtered and written (synced, like ours); seconds, files, bytes."""
    files = LocalFiles(to)
    written: list[int] = []

    def anew() -> None:
        for path in _sizes(out):
            table = pq.ParquetFile(out / path).read()
            data = encode(table.filter(pc.not_equal(table["key"], pa.scalar(key))))
            files.publish(path, data)
            written.append(len(data))

    took = seconds(anew)
    shutil.rmtree(to)
    return took, len(written), sum(written)


def _shards(receipt: Receipt) -> int:
    return sum(file.path.endswith(".parquet") for file in receipt.rewritten)


def _kept(out: Path, count: int) -> list[str]:
    ledger = Dataset.open(out).ledger(["key", "verdict"])
    keys = ledger.filter(pc.equal(ledger["verdict"], "kept"))["key"]
    return [keys[len(keys) * at // count].as_py() for at in range(count)]


def _sizes(out: Path) -> dict[str, int]:
    """Shard files by path, with their sizes."""
    found = (path for layer in LAYERS for path in sorted((out / layer).rglob("*.parquet")))
    return {path.relative_to(out).as_posix(): path.stat().st_size for path in found}


# --- the dataset ----------------------------------------------------------------------------------
def build(base: Path, *, rows: int, shard_rows: int) -> Path:
    """Draw pictures and run the recipe over them; returns the dataset directory."""
    folder = base / "pictures"
    folder.mkdir()
    lines = [_draw(folder, at) for at in range(rows)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    run_inline(_recipe(folder, shard_rows), base / "out")
    return base / "out"


def _draw(folder: Path, at: int) -> dict[str, str]:
    rng = np.random.default_rng(at)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), "RGB")
    image = coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    out = BytesIO()
    image.save(out, "JPEG", quality=90)
    (folder / f"{at}.jpg").write_bytes(out.getvalue())
    return {
        "id": str(at), "file": f"{at}.jpg", "caption": f"colours, number {at}", "by": f"maker {at}",
        "license": "https://creativecommons.org/licenses/by/4.0/",
    }  # fmt: skip


def _recipe(folder: Path, shard_rows: int) -> Recipe:
    claim = {"column": "license", "kind": "url", "level": 5, "claimed_by": "a benchmark"}
    columns = {"id": "id", "path": "file", "captions": ["caption"], "creator": "by"}
    source = {"kind": "table", "name": "drawn", "path": str(folder / "rows.jsonl")}
    stages: Sequence[dict[str, Any]] = [
        {"kind": "license", "policy": "attribution"},
        {"kind": "captions"},
        {"kind": "read_file", "root": str(folder)},
        {"kind": "inspect"},
        {"kind": "embedded"},
        {"kind": "buckets", "sizes": [[64, 64]]},
    ]
    barrier = {"kind": "threshold", "column": "clip_score", "quantile": 0.05}
    passes = [
        {"layer": "images", "stages": stages, "barrier": {"kind": "duplicates"}},
        {"layer": "features/clip", "stages": [{"kind": "clip_score"}], "barrier": barrier},
        {"layer": "features/latents", "stages": [{"kind": "t5"}, {"kind": "vae"}]},
    ]
    value = {"name": "removal", "shard_rows": shard_rows, "passes": passes}
    source |= {"columns": columns, "licenses": [claim], "retrieved_at": "2024-05-01"}  # type: ignore[dict-item]
    return recipe_from(value | {"source": source}, origin="benchmark")


if __name__ == "__main__":
    main()
