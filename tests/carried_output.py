"""Sets that carry their pictures, in the exact shape that their tools write.

`python -m carried_output` (in `tests/`) writes the fixtures of img2dataset and huggingface anew.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

CC = "https://creativecommons.org"
URLS = [
    f"{CC}/licenses/by/4.0/", f"{CC}/publicdomain/zero/1.0/", f"{CC}/licenses/by-sa/3.0/",
    f"{CC}/licenses/by-nc/4.0/", f"{CC}/licenses/by-nd/4.0/", "", f"{CC}/licenses/by/",
    f"{CC}.evil.example/licenses/by/4.0/", f"{CC}/publicdomain/mark/1.0/", f"{CC}/licenses/by/9.0/",
    "all rights reserved", f"{CC}/licenses/by/2.0/uk/",
]  # fmt: skip
SCHEMA = pa.schema(
    [("url", pa.string()), ("caption", pa.string()), ("license_url", pa.string()),
     ("title", pa.string()), ("creator", pa.string()), ("landing_url", pa.string()),
     ("key", pa.string()), ("status", pa.string()), ("error_message", pa.string()),
     ("width", pa.int32()), ("height", pa.int32()), ("original_width", pa.int32()),
     ("original_height", pa.int32()), ("exif", pa.string()), ("sha256", pa.string())]
)  # fmt: skip
FAILED = {5: ("failed_to_download", "HTTP Error 404: Not Found"),
          8: ("failed_to_resize", "Image decoding error")}  # fmt: skip


def picture(n: int, side: int = 24) -> bytes:
    """A small JPEG that differs for each number."""
    sink = io.BytesIO()
    Image.new("RGB", (side, side + n % 5), (n * 37 % 256, n * 59 % 256, 90)).save(sink, "JPEG")
    return sink.getvalue()


def img2dataset_rows(shard: int, count: int) -> list[tuple[dict[str, Any], bytes | None]]:
    """The rows of one shard with the picture of each, None for those that failed."""
    rows = []
    for at in range(count):
        n = shard * 100 + at
        status, error = FAILED.get(at, ("success", None))
        body = None if error else picture(n)
        row = {
            "url": f"https://pictures.example/{n}.jpg", "caption": f"A small picture, number {n}",
            "license_url": URLS[at % len(URLS)], "title": f"Picture {n}", "creator": f"Maker {n}",
            "landing_url": f"https://pictures.example/page/{n}", "key": f"{shard:05d}{at:04d}",
            "status": status, "error_message": error, "width": 24, "height": 24 + n % 5,
            "original_width": 24, "original_height": 24 + n % 5, "exif": "{}",
            "sha256": hashlib.sha256(body).hexdigest() if body else None,
        }  # fmt: skip
        if body is None:
            row |= dict.fromkeys(("width", "height", "original_width", "original_height", "exif"))
        rows.append((row, body))
    return rows


def write_parquet_shard(folder: Path, shard: int, count: int, group_rows: int = 5) -> None:
    """`output_format=parquet`: the pictures in a column named after their format."""
    rows = [row | {"jpg": body} for row, body in img2dataset_rows(shard, count)]
    table = pa.Table.from_pylist(rows, schema=SCHEMA.append(pa.field("jpg", pa.binary())))
    pq.write_table(table, folder / f"{shard:05d}.parquet", row_group_size=group_rows)


def write_webdataset_shard(folder: Path, shard: int, count: int, *, table: bool = True) -> None:
    """`output_format=webdataset`: jpg, json and txt of each row, and a table of all rows."""
    rows = img2dataset_rows(shard, count)
    with tarfile.open(folder / f"{shard:05d}.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        for row, body in rows:
            if body is not None:
                texts = {"json": json.dumps(row, indent=4).encode(), "txt": row["caption"].encode()}
                for suffix, data in {"jpg": body, **texts}.items():
                    info = tarfile.TarInfo(f"{row['key']}.{suffix}")
                    info.size, info.mode, info.uname, info.gname = len(data), 0o444, "big", "big"
                    tar.addfile(info, io.BytesIO(data))
    if table:
        pq.write_table(
            pa.Table.from_pylist([row for row, _ in rows], schema=SCHEMA),
            folder / f"{shard:05d}.parquet",
        )


def write_files_shard(folder: Path, shard: int, count: int) -> None:
    """`output_format=files`: a folder of files, and a table of all rows."""
    rows = img2dataset_rows(shard, count)
    (folder / f"{shard:05d}").mkdir()
    for row, body in rows:
        if body is not None:
            (folder / f"{shard:05d}" / f"{row['key']}.jpg").write_bytes(body)
    pq.write_table(
        pa.Table.from_pylist([row for row, _ in rows], schema=SCHEMA),
        folder / f"{shard:05d}.parquet",
    )


NAMES = ["CC BY 4.0", "CC0 1.0", "CC BY-SA 4.0", "CC BY-NC 4.0", "unknown", None, "CC BY", "CC BY 3.0",
         "© all rights reserved", "public domain", "CC-BY-ND-4.0"]  # fmt: skip


def huggingface_rows(count: int) -> list[dict[str, Any]]:
    return [
        {"image": {"bytes": picture(n), "path": f"{n}.jpg"}, "text": f"A small picture, number {n}",
         "license": NAMES[n % len(NAMES)]}
        for n in range(count)
    ]  # fmt: skip


def write_huggingface(path: Path, rows: list[dict[str, Any]], group_rows: int = 4) -> None:
    """A Parquet file as `datasets` pushes it: an image struct, and its features in the schema."""
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    features = {"image": {"_type": "Image"}, "text": {"dtype": "string", "_type": "Value"},
                "license": {"dtype": "string", "_type": "Value"}}  # fmt: skip
    note = json.dumps({"info": {"features": features}})
    schema = pa.schema(
        [("image", image), ("text", pa.string()), ("license", pa.string())],
        metadata={"huggingface": note},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path, row_group_size=group_rows)


def write_imagefolder(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Pictures in `train/`, named by the metadata.jsonl that lies there."""
    (folder / "train").mkdir(parents=True)
    with (folder / "train" / "metadata.jsonl").open("w") as sink:
        for row in rows:
            (folder / "train" / row["image"]["path"]).write_bytes(row["image"]["bytes"])
            told = {
                "file_name": row["image"]["path"],
                "text": row["text"],
                "license": row["license"],
            }
            sink.write(json.dumps(told) + "\n")


def main() -> None:
    root = Path(__file__).parent / "fixtures" / "sources"
    for kind in ("img2dataset", "huggingface"):
        (root / kind).mkdir(exist_ok=True)
    write_parquet_shard(root / "img2dataset", 0, 12)
    write_webdataset_shard(root / "img2dataset", 1, 12)
    write_huggingface(root / "huggingface/data/train-00000-of-00001.parquet", huggingface_rows(22))


if __name__ == "__main__":
    main()
