"""Audit speed: `curate audit --hashes` beside plain sha256 over the same files.

    python -m benchmarks.audit_speed [--gb 1.6] [--runs 5] [--keep FOLDER]

Builds three datasets in a temporary folder (noisy JPEGs of about 1 MB, 300 KB and 30 KB through
the real stages), measures in turns with warm caches, and removes them. Plain is
`hashlib.file_digest` in one thread; the same on all cores and `sha256sum` stand beside it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from benchmarks.machine import interleaved, store, summary
from curate.engine import run_inline
from curate.provenance import write_outputs
from curate.provenance.audit import audit
from curate.recipe import Recipe, recipe_from
from curate.store.dataset import Dataset

SIDES: Final = {"1 MB": 740, "300 KB": 390, "30 KB": 120}
TOOLS: Final = ("by/4.0",) * 5 + ("by/2.0",) * 3 + ("by-sa/4.0",) * 2
NOISE: Final = 64
CHUNK: Final = 256


def main() -> None:
    """Measure, print and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gb", type=float, default=1.6, help="of pictures; a third of 30 KB ones")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="build here and leave it, or use what is there")
    given = parser.parse_args()
    cases = {}
    with tempfile.TemporaryDirectory(prefix="curate-audit-speed-") as temporary:
        for name, side in SIDES.items():
            folder = (given.keep or Path(temporary)) / name.replace(" ", "")
            if not (folder / "out" / "MANIFEST.json").is_file():
                build(folder, side=side, gigabytes=given.gb / (3 if name == "30 KB" else 1))
            cases[name] = measure(folder / "out", runs=given.runs)
            print(f"pictures of {name}: {json.dumps(cases[name], indent=1)}")
    print(store("audit_speed", {"cases": cases}, packages=["pyarrow", "pillow", "numpy"]))


def build(folder: Path, *, side: int, gigabytes: float) -> None:
    """A dataset of about that many bytes of stored pictures, through the real stages."""
    pictures = folder / "pictures"
    pictures.mkdir(parents=True)
    size = len(picture(side, 0))
    count = max(1, int(gigabytes * 1e9 / size))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        starts = range(0, count, CHUNK)
        list(pool.map(partial(draw, pictures, side, count), starts))
    with (pictures / "rows.jsonl").open("w", encoding="utf-8") as table:
        table.writelines(json.dumps(row) + "\n" for row in rows(count))
    run_inline(recipe(pictures, side), folder / "out")
    write_outputs(folder / "out")
    shutil.rmtree(pictures)


def draw(folder: Path, side: int, count: int, start: int) -> None:
    """Write some of the pictures."""
    for n in range(start, min(start + CHUNK, count)):
        (folder / f"{n}.jpg").write_bytes(picture(side, n))


def picture(side: int, seed: int) -> bytes:
    """A picture like no other: colours of its own, as bright as they come, under a camera's noise."""
    rng = np.random.default_rng(seed)
    colour, spread = rng.integers(32, 224, 3), rng.integers(-96, 97, (6, 6, 3))
    small = Image.fromarray((colour + spread).clip(0, 255).astype(np.uint8))
    colours = np.asarray(small.resize((side, side), Image.Resampling.BICUBIC)).astype(np.int16)
    noisy = (colours + rng.integers(-NOISE, NOISE, (side, side, 3), dtype=np.int16)).clip(0, 255)
    out = BytesIO()
    Image.fromarray(noisy.astype(np.uint8)).save(out, "JPEG", quality=95, subsampling="4:4:4")
    return out.getvalue()


def rows(count: int) -> Iterator[dict[str, Any]]:
    """Metadata in the manner of a source with an API."""
    for n in range(count):
        yield {
            "id": f"p{n}", "file": f"{n}.jpg", "caption": f"a picture of noise, number {n}",
            "by": f"Somebody {n % 977}", "title": f"Noise {n}",
            "page": f"https://photos.example/{n}",
            "license": f"https://creativecommons.org/licenses/{TOOLS[n % len(TOOLS)]}/",
        }  # fmt: skip


def recipe(folder: Path, side: int) -> Recipe:
    """Licences, captions, reading, decoding, sizes, duplicates."""
    claim = {"column": "license", "kind": "url", "level": 5, "claimed_by": "photos.example"}
    columns = {"id": "id", "path": "file", "captions": ["caption"], "title": "title"}
    columns |= {"creator": "by", "landing_url": "page"}
    source = {"kind": "table", "name": "photos", "path": str(folder / "rows.jsonl")}
    source |= {"columns": columns, "licenses": [claim], "retrieved_at": "2024-05-01"}
    stages = [
        {"kind": "license", "policy": "sharealike"}, {"kind": "captions"},
        {"kind": "read_file", "root": str(folder)}, {"kind": "inspect"},
        {"kind": "embedded"}, {"kind": "resolution", "min_side": 64}, {"kind": "aspect"},
        {"kind": "buckets", "sizes": [[side // 8 * 8, side // 8 * 8]]},
    ]  # fmt: skip
    passes = [{"layer": "images", "stages": stages, "barrier": {"kind": "duplicates"}}]
    value = {"name": "noise", "source": source, "shard_rows": 1024, "passes": passes}
    return recipe_from(value, origin="benchmark")


def measure(out: Path, *, runs: int) -> dict[str, Any]:
    """The audit and its peers in turns; rates are of the files that the manifest names."""
    manifest = Dataset.open(out).manifest
    entries = [e for layer in manifest.layers for shard in layer.shards for e in shard.files]
    files = [out / entry.path for entry in entries]
    told = sum(entry.bytes for entry in entries)
    taken = interleaved(
        {
            "audit_hashes": partial(sound, out, hashes=True),
            "plain": partial(plain, files),
            "plain_all_cores": partial(plain_all_cores, files),
            "sha256sum": partial(sha256sum, files),
            "audit": partial(sound, out, hashes=False),
        },
        runs=runs,
    )
    figures: Mapping[str, dict[str, float]] = {name: summary(own) for name, own in taken.items()}
    of = {name: figure["median_seconds"] for name, figure in figures.items()}
    spent = {
        "audit_hashes": processor(partial(sound, out, hashes=True)),
        "plain": processor(partial(plain, files)),
    }
    cores = len(os.sched_getaffinity(0))
    return {
        "bytes": told,
        "files": len(files),
        "pictures": manifest.counts.candidates,
        "contestants": figures,
        "gb_per_second": {name: round(told / 1e9 / own, 3) for name, own in of.items()},
        "audit_hashes_of_plain": round(of["plain"] / of["audit_hashes"], 3),
        "audit_hashes_of_sha256sum": round(of["sha256sum"] / of["audit_hashes"], 3),
        "audit_hashes_of_plain_all_cores": round(of["plain_all_cores"] / of["audit_hashes"], 3),
        "processor_seconds": spent,
        "audit_hashes_of_plain_if_no_core_waits": round(
            cores * spent["plain"] / spent["audit_hashes"], 3
        ),
        "rows_per_second_without_hashes": round(manifest.counts.candidates / of["audit"]),
    }


def processor(work: Callable[[], object]) -> float:
    """The least processor time of three calls: what a neighbour on the machine changes least."""
    taken = []
    for _ in range(3):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return round(min(taken), 3)


def sound(out: Path, *, hashes: bool) -> None:
    """Audit; raises ValueError if the dataset does not pass, since then less was done."""
    result = audit(out, hashes=hashes)
    if not result.ok:
        raise ValueError(result.to_text())


def plain(files: Sequence[Path]) -> None:
    """One thread, file after file."""
    for file in files:
        file_digest(file)


def file_digest(file: Path) -> str:
    """As the standard library does it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def plain_all_cores(files: Sequence[Path]) -> None:
    """A thread a core."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(file_digest, files))


def sha256sum(files: Sequence[Path]) -> None:
    """The program of GNU coreutils."""
    subprocess.run(["sha256sum", *map(str, files)], check=True, capture_output=True)


if __name__ == "__main__":
    main()
