"""CLIP's stage: full batches over all buckets, captions by number, memory that runs out, columns."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image

from curate import columns as c
from curate.demo.scenes import caption, draw, random_scene
from curate.errors import ContractError
from curate.models.clip import Clip
from curate.models.launch import Lane, Pending
from curate.stage import apply
from curate.stages.clip_columns import Captions, best, blobs, floats
from curate.stages.clip_score import ClipScore

SCHEMA = pa.schema([c.KEY, c.CAPTIONS, c.IMAGE, c.CROP_BOX, c.BUCKET_WIDTH, c.BUCKET_HEIGHT])
SIZES = [(64, 64), (96, 64), (64, 80)]


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def row(number: int, **changes: Any) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    scene, (width, height) = random_scene(rng), SIZES[number % 3]
    told = {
        "key": f"{number:03}", "captions": [{"text": caption(scene, rng)} for _ in range(number % 3)],
        "image": {"bytes": png(draw(scene, (width, height))), "path": None},
        "crop_box": [0, 0, width, height], "bucket_width": width, "bucket_height": height,
    }  # fmt: skip
    return told | changes


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def plain() -> pa.Table:
    return table([row(number) for number in range(1, 15)])


@pytest.fixture(scope="module")
def done(plain: pa.Table) -> pa.Table:
    return apply(ClipScore(batch_size=4), plain)


def vector(blob: bytes) -> np.ndarray:
    return np.frombuffer(blob, "<f2").astype(np.float32)


def close(found: pa.Table, other: pa.Table) -> bool:
    """The same verdicts and nulls, and values within rounding to float16."""
    for name in ("verdict", "reason"):
        assert found[name].equals(other[name])
    for one, two in zip(found.to_pylist(), other.to_pylist(), strict=True):
        pairs = [(one["clip_image"], two["clip_image"]), *zip(one["clip_text"], two["clip_text"], strict=True)]  # fmt: skip
        for left, right in pairs:
            if (left is None) != (right is None):
                return False
            if left is not None and np.abs(vector(left) - vector(right)).max() > 2e-3:
                return False
        if one["clip_scores"] != pytest.approx(two["clip_scores"], abs=1e-4):
            return False
    return True


# --- the values -----------------------------------------------------------------------------------
def test_every_row_has_the_vectors_of_its_own_picture_and_captions(done: pa.Table) -> None:
    clip = Clip.load("builtin:tiny")
    for told in done.to_pylist():
        picture = Image.open(io.BytesIO(told["image"]["bytes"]))
        image = clip.encode_images([picture])[0]
        assert np.abs(vector(told["clip_image"]) - image).max() < 1e-3
        texts = clip.encode_texts([one["text"] for one in told["captions"]])
        assert len(told["clip_text"]) == len(texts) == len(told["clip_scores"])
        for stored, exact, score in zip(told["clip_text"], texts, told["clip_scores"], strict=True):
            assert np.abs(vector(stored) - exact).max() < 1e-3
            assert score == pytest.approx(float(image @ exact), abs=1e-5)
        assert told["clip_score"] == (max(told["clip_scores"]) if len(texts) else None)
        assert told["reason"] == (None if len(texts) else "caption")
        assert told["clip_batch"] is None


def test_batches_are_filled_across_buckets(
    plain: pa.Table, done: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    vectors = Clip.vectors

    def counted(self: Clip, prepared: torch.Tensor) -> torch.Tensor:
        sizes.append(len(prepared))
        return vectors(self, prepared)

    monkeypatch.setattr(Clip, "vectors", counted)
    assert apply(ClipScore(batch_size=4), plain).equals(done)
    assert sizes == [4, 4, 4, 2]
    sizes.clear()
    assert close(apply(ClipScore(), plain), done)
    assert sizes == [14]


def test_captions_that_repeat_are_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    texts = Clip.texts

    def counted(self: Clip, tokens: torch.Tensor) -> torch.Tensor:
        seen.append(len(tokens))
        return texts(self, tokens)

    monkeypatch.setattr(Clip, "texts", counted)
    same = [
        {"text": "a red ring"},
        {"text": None},
        {"text": "a red ring"},
        {"text": "x"},
        {"text": " "},
    ]
    found = apply(ClipScore(), table([row(number, captions=same) for number in range(5)]))
    assert seen == [2]
    for told in found.to_pylist():
        first, none, again, other, blank = told["clip_text"]
        assert first == again != other
        assert none is blank is told["clip_scores"][1] is told["clip_scores"][4] is None


def test_a_slice_and_chunks_of_a_table_give_what_their_rows_give(
    plain: pa.Table, done: pa.Table
) -> None:
    whole = apply(ClipScore(batch_size=4), pa.concat_tables([plain.slice(0, 5), plain.slice(5)]))
    assert whole.equals(done)
    part = apply(ClipScore(batch_size=4), plain.slice(3, 6))
    assert close(part, done.slice(3, 6))


def test_threads_that_encode_at_once_get_their_own_rows(plain: pa.Table, done: pa.Table) -> None:
    transform = ClipScore(batch_size=4).open()
    tables = [plain.slice(start) for start in (0, 2, 4, 6)] * 2
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(transform, tables))
    for one, given in zip(found, tables, strict=True):
        assert one["key"].equals(given["key"])
        assert close(one, done.slice(len(plain) - len(given)))


def test_the_ways_of_a_gpu_are_held_against_rows_of_the_run(
    plain: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    from curate.stages import clip_score

    given: list[tuple[str, dict[str, Any]]] = []
    there = torch.device("cpu")

    class Elsewhere:  # what a CUDA device looks like to the stage
        type = "cuda"

    def load(ref: str, **options: Any) -> str:
        given.append((ref, options))
        return "the model"

    found = clip_score.batches
    monkeypatch.setattr(clip_score, "pick", lambda device: Elsewhere())
    monkeypatch.setattr(
        clip_score, "batches", lambda table, size, device: found(table, size, there)
    )
    monkeypatch.setattr(Clip, "load", load)
    assert ClipScore(device="cuda", tolerance=0.01).load(plain) == "the model"
    [(ref, options)] = given
    assert (ref, options["device"], options["tolerance"]) == ("builtin:tiny", "cuda", 0.01)
    assert sum(len(pixels) for pixels in options["sample"].pixels) == len(plain)
    texts = [one["text"] for told in plain["captions"].to_pylist() for one in told]
    assert list(options["sample"].texts) == list(dict.fromkeys(texts))


# --- memory ---------------------------------------------------------------------------------------
def short_of_memory(
    monkeypatch: pytest.MonkeyPatch, name: str, room: int, never: Any = None
) -> None:
    """Clip's method fails for more than `room` at once, or wherever `never` says so."""
    inner = getattr(Clip, name)

    def limited(self: Clip, given: torch.Tensor) -> torch.Tensor:
        if len(given) > room or (never is not None and never(given)):
            raise torch.OutOfMemoryError("CUDA out of memory (planted)")
        return inner(self, given)

    monkeypatch.setattr(Clip, name, limited)


@pytest.mark.parametrize(
    ("name", "room", "batch"), [("vectors", 3, 2), ("prepare", 1, 1), ("texts", 5, 4)]
)
def test_a_batch_that_does_not_fit_is_halved_and_recorded(
    name: str,
    room: int,
    batch: int,
    plain: pa.Table,
    done: pa.Table,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if name == "texts":
        monkeypatch.setattr("curate.stages.clip_score.TEXTS", 8)
    short_of_memory(monkeypatch, name, room)
    found = apply(ClipScore(batch_size=4), plain)
    assert set(found["clip_batch"].to_pylist()) == {batch}
    assert close(found, done)


@pytest.mark.parametrize("name", ["vectors", "prepare"])
def test_a_picture_that_does_not_fit_alone_fails_its_row_only(
    name: str, plain: pa.Table, done: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = 6
    pixels = torch.from_numpy(
        np.asarray(Image.open(io.BytesIO(plain["image"][lost].as_py()["bytes"]))).copy()
    )
    clip = Clip.load("builtin:tiny")
    own = pixels if name == "prepare" else clip.prepare(pixels[None])[0]

    def never(given: torch.Tensor) -> bool:
        return given.shape[1:] == own.shape and any(torch.equal(one, own) for one in given)

    short_of_memory(monkeypatch, name, 99, never)
    found = apply(ClipScore(batch_size=4), plain)
    told = found.slice(lost, 1).to_pylist()[0]
    assert (told["verdict"], told["reason"], told["retryable"]) == ("failed", "out_of_memory", True)
    assert told["clip_image"] is None
    assert set(found["clip_batch"].to_pylist()) == {1}
    rest = [at for at in range(len(plain)) if at != lost]
    assert close(found.take(rest), done.take(rest))


def test_a_caption_that_does_not_fit_alone_fails_the_rows_that_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip = Clip.load("builtin:tiny")
    bad = clip.tokens(["a bad one"])[0]
    short_of_memory(monkeypatch, "texts", 99, lambda ids: any(torch.equal(one, bad) for one in ids))
    captions = [["a red ring"], ["a bad one", "a red ring"], ["x"], ["a bad one"]]
    rows = [row(n, captions=[{"text": text} for text in told]) for n, told in enumerate(captions)]
    found = apply(ClipScore(), table(rows))
    assert found["reason"].to_pylist() == [None, "out_of_memory", None, "out_of_memory"]
    assert [len(told) for told in found["clip_text"].to_pylist()] == [1, 2, 1, 1]


# --- columns --------------------------------------------------------------------------------------
def test_what_the_device_wrote_is_the_columns_memory(
    plain: pa.Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: set[int] = set()
    fetch = Lane.fetch

    def told(self: Lane, tensor: torch.Tensor) -> Pending:
        pending = fetch(self, tensor)
        fetched.add(pending.host.data_ptr())
        return pending

    monkeypatch.setattr(Lane, "fetch", told)
    found = ClipScore().open()(plain)
    for column in (found["clip_image"], found["clip_text"]):
        [chunk] = column.chunks
        values = chunk if chunk.type == pa.binary() else chunk.values
        assert values.buffers()[2].address in fetched


def test_captions_are_numbered_by_text() -> None:
    told = [
        [{"text": "b"}, {"text": "a"}], None, [], [None, {"text": None}, {"text": " \t"}],
        [{"text": "b"}, {"text": "c"}],
    ]  # fmt: skip
    column = pa.chunked_array([pa.array(part, c.CAPTIONS.type) for part in (told[:3], told[3:])])
    found = Captions.of(column)
    assert found.distinct == ["b", "a", "c"]
    assert found.counts.tolist() == [2, 0, 0, 3, 2]
    assert found.rows.tolist() == [0, 0, 3, 3, 3, 4, 4]
    assert found.number.tolist() == [0, 1, -1, -1, -1, 0, 2]
    assert found.lists(pa.array(range(7))).to_pylist() == [[0, 1], [], [], [2, 3, 4], [5, 6]]
    sliced = Captions.of(column.slice(3))
    assert (sliced.distinct, sliced.number.tolist()) == (["b", "c"], [-1, -1, -1, 0, 1])
    empty = Captions.of(column.slice(0, 0))
    assert (empty.distinct, len(empty.rows), len(empty.counts)) == ([], 0, 0)


def test_columns_of_nothing_something_and_too_much() -> None:
    where = np.array([True, False, True, False])
    values = np.arange(6, dtype=np.float16).reshape(2, 3)
    told = blobs(values, where)
    told.validate(full=True)
    assert told.to_pylist() == [values[0].tobytes(), None, values[1].tobytes(), None]
    assert blobs(values[:0], ~np.ones(2, bool)).to_pylist() == [None, None]
    assert blobs(values[:0], np.ones(0, bool)).to_pylist() == []
    huge = np.broadcast_to(np.float16(0), (1 << 21, 512))
    with pytest.raises(ContractError, match="use smaller shards"):
        blobs(huge, np.ones(len(huge), bool))
    scores = np.array([0.25, np.nan], np.float32)
    assert floats(scores[:1], where[:2]).to_pylist() == [0.25, None]
    rows = np.array([1, 1, 2, 4])
    marked = np.array([0.25, 0.5, np.nan, -0.75], np.float32)
    assert best(marked, rows, 6).to_pylist() == [None, 0.5, None, None, -0.75, None]
