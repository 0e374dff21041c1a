"""The scan for what is left of a removed row finds each kind of leftover, and nothing where none is."""

from __future__ import annotations

import base64
import gzip
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from provenance_dataset import build, jpeg, key, picture

from curate.errors import MissingInput, StoreError
from curate.provenance import write_outputs
from curate.provenance.takedown import Selectors, remove
from curate.provenance.verify_removal import VerifyResult, verify_removal
from curate.store.dataset import Dataset
from curate.store.tombstones import LOG

ADDRESS = "https://pictures.example/one%20picture?a=1&b=2,3"
CREATOR = "Zoë van der Example"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = build(tmp_path_factory.mktemp("verify"))
    write_outputs(out)
    return out


@pytest.fixture(scope="module")
def after(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dataset without rows 12 and 30, with requests by an address and by a creator."""
    out = Path(shutil.copytree(before, tmp_path_factory.mktemp("verified") / "out"))
    for selectors in (
        Selectors(keys=[key(12)]),
        Selectors(urls=[ADDRESS], creators=[CREATOR]),
    ):
        remove(out, selectors=selectors, reason="a test", write_pages=write_outputs)
    return out


def test_nothing_is_left_after_a_removal(after: Path) -> None:
    result = verify_removal(after)
    assert result.ok, result.to_text()
    assert result.pictures > 28 and result.files > 50
    assert json.loads(result.to_json())["ok"]


def old_shard(before: Path, layer: str, role: str) -> Path:
    dataset = Dataset.open(before)
    for shard in dataset.layer(layer).shards:
        entry = shard.file(role)  # type: ignore[arg-type]
        if entry and key(12) in dataset.read(entry, ["key"])["key"].to_pylist():
            return dataset.path(entry)
    raise AssertionError(f"no {role} of {layer} holds the row")


def near() -> bytes:
    """The picture at another size, re-encoded, with its edges cut a little."""
    out = io.BytesIO()
    image = picture(12).resize((300, 300), Image.Resampling.BICUBIC).crop((4, 4, 296, 296))
    image.save(out, "WEBP", quality=70)
    return out.getvalue()


def tar_of(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_of(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def parquet_of(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def arrow_of(table: pa.Table) -> bytes:
    out = io.BytesIO()
    with pa.ipc.new_file(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def png(side: int = 64) -> bytes:
    out = io.BytesIO()
    picture(12, side).save(out, "PNG")
    return out.getvalue()


PLANTED: dict[str, tuple[str, Callable[[Path], bytes], str]] = {
    "an old shard of images": ("images/data/old.parquet", lambda b: old_shard(b, "images", "data").read_bytes(), "column"),
    "an old shard of the plan": ("plan/data/old.parquet", lambda b: old_shard(b, "plan", "data").read_bytes(), "the key"),
    "an old shard of the ledger": ("ledger/data/old.parquet", lambda b: old_shard(b, "ledger", "data").read_bytes(), "the key"),
    "old observations": ("images/observations/o.parquet", lambda b: old_shard(b, "images", "observations").read_bytes(), "the key"),
    "a shard cut short": (".tmp/0123abcd", lambda b: old_shard(b, "images", "data").read_bytes()[:-200], "picture"),
    "a thumbnail in the report": ("report.html", lambda b: b"<img src='data:image/png;base64," + base64.b64encode(png()) + b"'>", "base64"),
    "a shortened key in a page": ("old.html", lambda b: f"<code>{key(12)[:16]}</code>".encode(), "the key"),
    "a key in capitals": ("notes.txt", lambda b: key(12).upper().encode(), "the key"),
    "the hash of the file": ("hashes.csv", lambda b: f"n,{ledger_hash(b)}\n".encode(), "the sha256"),
    "an export of files": (f"export/{key(12)}.txt", lambda b: b"a caption", "its name"),
    "an exported tar": ("export/a.tar", lambda b: tar_of("a.jpg", jpeg(picture(12))), "a.jpg"),
    "a tar in a gzip": ("export/a.tar.gz", lambda b: gzip.compress(tar_of("x.jpg", near())), "x.jpg"),
    "a zip": ("export/a.zip", lambda b: zip_of("deep/x.json", json.dumps({"url": ADDRESS}).encode()), "deep/x.json"),
    "a re-encoded, resized, cropped copy": ("checkpoint/samples.webp", lambda b: near(), "likeness"),
    "the pixels in another format": ("a/b/c.dat", lambda b: png(80), "removed picture"),
    "an address in JSON": ("cache.json", lambda b: json.dumps({"u": ADDRESS}).encode(), "address"),
    "an address with escaped slashes": ("cache.txt", lambda b: json.dumps([ADDRESS]).replace("/", "\\/").encode(), "address"),
    "an address in HTML": ("page.html", lambda b: f'<a href="{ADDRESS.replace("&", "&amp;")}">x</a>'.encode(), "address"),
    "an address in a sentence": ("README.txt", lambda b: f"It was at ({ADDRESS}), once.".encode(), "address"),
    "an address in other letters": ("log", lambda b: ADDRESS.replace("https://pictures", "HTTPS://Pictures").encode(), "address"),
    "a creator in CSV": ("credits.csv", lambda b: f'id,by\n1,"{CREATOR.upper()}"\n'.encode(), "creator"),
    "a creator in a sentence": ("credits.html", lambda b: f"<p>“A” by {CREATOR}, CC BY 4.0</p>".encode(), "creator"),
    "a creator in JSON": ("credits.json", lambda b: json.dumps({"by": [CREATOR]}).encode(), "creator"),
    "a creator in Parquet": ("x.parquet", lambda b: parquet_of(pa.table({"by": [None, CREATOR]})), "row 1, column by"),
    "a picture within lists": ("y.parquet", lambda b: parquet_of(pa.table({"p": [[{"bytes": near()}]]})), "likeness"),
    "an Arrow file": ("z.arrow", lambda b: arrow_of(pa.table({"p": [png()]})), "row 0, column p"),
    "a picture inside other bytes": ("weights.bin", lambda b: b"\0" * 5000 + jpeg(picture(12)) + b"\0" * 99, "byte"),
    "base64 in a Parquet text": ("t.parquet", lambda b: parquet_of(pa.table({"p": [base64.b64encode(png()).decode()]})), "removed picture"),
}  # fmt: skip


def ledger_hash(before: Path) -> str:
    [row] = [r for r in Dataset.open(before).ledger().to_pylist() if r["key"] == key(12)]
    return str(row["original_sha256"])


@pytest.fixture(scope="module")
def scanned(before: Path, after: Path, tmp_path_factory: pytest.TempPathFactory) -> VerifyResult:
    """One scan with every leftover planted at once."""
    out = Path(shutil.copytree(after, tmp_path_factory.mktemp("planted") / "out"))
    for place, content, _ in PLANTED.values():
        path = out / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(before))
    return verify_removal(out)


def test_nothing_but_what_was_planted_is_named(scanned: VerifyResult) -> None:
    assert not scanned.ok and not scanned.unread
    assert {hit.file for hit in scanned.hits} == {place for place, _, _ in PLANTED.values()}
    assert all(hit.line for hit in scanned.hits)


@pytest.mark.parametrize("name", PLANTED)
def test_a_leftover_is_found_and_named(scanned: VerifyResult, name: str) -> None:
    place, _, said = PLANTED[name]
    found = [str(hit) for hit in scanned.hits if hit.file == place]
    assert any(said in hit for hit in found), found


def test_what_lies_elsewhere_is_found_when_it_is_named(
    before: Path, after: Path, tmp_path: Path
) -> None:
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "one.jpg").write_bytes(jpeg(picture(12)))
    result = verify_removal(after, also=[tmp_path / "backup"])
    assert [hit.file for hit in result.hits] == ["backup/one.jpg"] * len(result.hits) != []
    assert not verify_removal(after, also=[before]).ok, "the version before"
    with pytest.raises(MissingInput):
        verify_removal(after, also=[tmp_path / "nowhere"])


def test_a_row_put_back_into_the_ledgers_and_marks_is_no_secret_place(
    after: Path, tmp_path: Path
) -> None:
    """Keys may stand in the plan, texts beside them may not."""
    out = Path(shutil.copytree(after, tmp_path / "out"))
    dataset = Dataset.open(out)
    for shard in dataset.layer("plan").shards:
        entry = shard.file("data")
        assert entry is not None
        table = dataset.read(entry)
        if key(12) in table["key"].to_pylist():
            titles = [t if k != key(12) else "Title 12" for k, t in zip(table["key"].to_pylist(), table["title"].to_pylist(), strict=True)]  # fmt: skip
            place = table.column_names.index("title")
            table = table.set_column(place, table.schema.field("title"), pa.array(titles))
            pq.write_table(table, dataset.path(entry))
    result = verify_removal(out)
    assert any("title was not erased" in hit.what for hit in result.hits)


def test_a_scan_that_could_not_look_is_no_proof(after: Path) -> None:
    broken = after / "broken.zip"
    broken.write_bytes(b"PK\3\4" + b"not an archive" * 9)
    try:
        result = verify_removal(after)
    finally:
        broken.unlink()
    assert not result.ok and not result.hits
    assert "broken.zip" in result.unread[0]


def test_the_log_itself_must_be_whole(after: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(after, tmp_path / "out"))
    lines = (out / LOG).read_text().splitlines(keepends=True)
    (out / LOG).write_text("".join(lines[:1] + lines[2:]))
    with pytest.raises(StoreError, match="line 2"):
        verify_removal(out)
