"""Batches of a table's pixels: the plan, what is left out, bytes in place, and sharing."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from curate import columns as c
from curate.errors import ContractError
from curate.images.crops import crop_to_bucket
from curate.stages import pixels as module
from curate.stages.pixels import Batch, batches, decode_threads, sharing
from tests.pictures import broken, file, photo, psnr

CPU = torch.device("cpu")
SCHEMA = pa.schema([c.KEY, c.IMAGE, c.CROP_BOX, c.BUCKET_WIDTH, c.BUCKET_HEIGHT])
BUCKETS = ((64, 48), (48, 48), (48, 64))


def row(number: int, **changes: Any) -> dict[str, Any]:
    width, height = BUCKETS[number % 3]
    body = file(photo(90, 90, number), "PNG" if number % 4 == 3 else "JPEG")
    told = {
        "key": f"{number:04}", "image": {"bytes": body, "path": None},
        "crop_box": [2, 3, 2 + width, 3 + height], "bucket_width": width, "bucket_height": height,
    }  # fmt: skip
    return told | changes


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def three(_width: int, _height: int) -> int:
    return 3


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [row(number) for number in range(14)]


@pytest.fixture(scope="module")
def plain(rows: list[dict[str, Any]]) -> pa.Table:
    return table(rows)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call decodes."""
    counts: list[int] = []
    honest = module.decode_crops

    def counted(bodies: Any, *rest: Any, **options: Any) -> Any:
        counts.append(len(bodies))
        return honest(bodies, *rest, **options)

    monkeypatch.setattr(module, "decode_crops", counted)
    return counts


def same(left: list[Batch], right: list[Batch]) -> bool:
    return [b.rows for b in left] == [b.rows for b in right] and all(
        torch.equal(a.pixels, b.pixels) for a, b in zip(left, right, strict=True)
    )


# --- the plan --------------------------------------------------------------------------------------
def test_buckets_ascend_rows_keep_their_order_and_batches_their_size(plain: pa.Table) -> None:
    found = list(batches(plain, three, CPU))
    assert [b.rows for b in found] == [
        [1, 4, 7], [10, 13], [2, 5, 8], [11], [0, 3, 6], [9, 12],
    ]  # fmt: skip
    shapes = [tuple(b.pixels.shape) for b in found]
    assert shapes == [(3, 48, 48, 3), (2, 48, 48, 3), (3, 64, 48, 3), (1, 64, 48, 3), (3, 48, 64, 3), (2, 48, 64, 3)]  # fmt: skip
    for batch in found:
        assert batch.pixels.dtype == torch.uint8 and batch.pixels.is_contiguous()


def test_the_size_of_a_batch_is_asked_for_by_width_and_height(plain: pa.Table) -> None:
    asked: list[tuple[int, int]] = []

    def size(width: int, height: int) -> int:
        asked.append((width, height))
        return 0 if width == 64 else 100

    found = list(batches(plain, size, CPU))
    assert asked == [(48, 48), (48, 64), (64, 48)]
    assert [len(b.rows) for b in found] == [5, 4, 1, 1, 1, 1, 1]  # never less than one


def test_pixels_are_the_crops_of_their_rows(plain: pa.Table, rows: list[dict[str, Any]]) -> None:
    for batch in batches(plain, three, CPU):
        for at, pixels in zip(batch.rows, batch.pixels, strict=True):
            told = rows[at]
            size = (told["bucket_width"], told["bucket_height"])
            wanted = crop_to_bucket(told["image"]["bytes"], told["crop_box"], *size)
            assert np.array_equal(pixels.numpy(), wanted)


def test_chunks_slices_and_other_widths_of_offsets_give_the_same(
    plain: pa.Table, rows: list[dict[str, Any]]
) -> None:
    wanted = list(batches(plain, three, CPU))
    whole = table([row(90), row(91), *rows, row(92)]).slice(2, len(rows))
    pieces = pa.concat_tables([plain.slice(0, 1), table([]), plain.slice(1, 6), plain.slice(7)])
    wide = pa.struct([pa.field("bytes", pa.large_binary()), pa.field("path", pa.string())])
    large = plain.set_column(1, "image", plain["image"].cast(wide))
    for other in (whole, pieces, large):
        assert same(list(batches(other, three, CPU)), wanted)


def test_bytes_are_read_where_arrow_has_them(plain: pa.Table) -> None:
    pictures = module._Pictures.of(plain.slice(3, 5))
    values = plain["image"].chunk(0).field("bytes").buffers()[2]
    for at in range(5):
        address = np.frombuffer(pictures.body(at), np.uint8).ctypes.data
        assert values.address <= address < values.address + values.size


# --- what is left out -----------------------------------------------------------------------------
def test_rows_that_cannot_be_read_are_in_no_batch() -> None:
    changes: list[dict[str, Any]] = [
        {"image": None}, {"image": {"bytes": None, "path": None}}, {"crop_box": None},
        {"bucket_width": None}, {"bucket_height": 0}, {"bucket_width": -5}, {"crop_box": [9] * 4},
        {"crop_box": [0, 0, 91, 90]}, {"crop_box": [-1, 0, 63, 64]},
    ]  # fmt: skip
    changes += [{"image": {"bytes": body, "path": None}} for body in broken().values()]
    bad = [row(20 + at, **change) for at, change in enumerate(changes)]
    mixed = table([row(0), *bad, row(3), row(1)])
    found = list(batches(mixed, three, CPU))
    assert sorted(at for b in found for at in b.rows) == [0, len(bad) + 1, len(bad) + 2]
    assert same(found, list(batches(mixed, three, CPU)))
    assert list(batches(table(bad), three, CPU)) == []
    assert list(batches(table([]), three, CPU)) == []


def test_a_null_struct_hides_what_lies_under_it() -> None:
    body = file(photo(90, 90))
    image = pa.StructArray.from_arrays(
        [pa.array([body, body], pa.binary()), pa.array([None, None], pa.string())],
        ["bytes", "path"],
        mask=pa.array([True, False]),
    )
    hidden = table([row(0), row(3)]).set_column(1, "image", image)
    assert [b.rows for b in batches(hidden, three, CPU)] == [[1]]


@pytest.mark.parametrize("shape", [(1, 48, 49, 3), (1, 49, 48, 3), (1, 3, 48, 48)])
def test_pixels_of_another_shape_than_the_bucket_are_a_broken_contract(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = torch.zeros(shape, dtype=torch.uint8)
    monkeypatch.setattr(module, "decode_crops", lambda *_, **__: (wrong, [0]))
    with pytest.raises(ContractError, match=r"bucket 48 × 48.*uint8 \[n, 48, 48, 3\]"):
        list(batches(table([row(1)]), three, CPU))
    monkeypatch.setattr(module, "decode_crops", lambda *_, **__: (torch.zeros(1, 48, 48, 3), [0]))
    with pytest.raises(ContractError, match="float32"):
        list(batches(table([row(1)]), three, CPU))


# --- sharing --------------------------------------------------------------------------------------
def test_a_second_encoder_decodes_nothing(plain: pa.Table, decoded: list[int]) -> None:
    alone = list(batches(plain, three, CPU))
    del decoded[:]
    with sharing():
        first = list(batches(plain, three, CPU))
        assert sum(decoded) == 14
        del decoded[:]
        again = list(batches(plain, three, CPU))
        rest = plain.take([1, 2, 4, 5, 8, 10, 11, 13])
        fewer = list(batches(rest, lambda _w, _h: 4, CPU))
    assert decoded == []
    assert same(first, alone) and same(again, alone)
    assert all(
        a.pixels.data_ptr() == b.pixels.data_ptr() for a, b in zip(first, again, strict=True)
    )
    assert same(fewer, list(batches(rest, lambda _w, _h: 4, CPU)))
    assert sum(decoded) == 8  # outside of sharing


def test_only_the_same_row_box_and_bucket_are_shared(decoded: list[int]) -> None:
    with sharing():
        list(batches(table([row(1)]), three, CPU))
        for change in ({"key": "other"}, {"crop_box": [0, 3, 48, 51]}, {"bucket_width": 40}):
            del decoded[:]
            list(batches(table([row(1, **change)]), three, CPU))
            assert decoded == [1]
        del decoded[:]
        list(batches(table([row(1), row(4)]), three, CPU))
        assert decoded == [1]


def test_what_finds_no_room_is_decoded_again(
    plain: pa.Table, decoded: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = list(batches(plain, three, CPU))
    monkeypatch.setitem(module.SHARED_BYTES, "cpu", 3 * 48 * 48 * 3 + 10)
    del decoded[:]
    with sharing():
        list(batches(plain, three, CPU))
        again = list(batches(plain, three, CPU))
    assert sum(decoded) == 14 + 14 - 3 and same(again, alone)


def test_pixels_are_let_go_at_the_end_and_other_shards_do_not_see_them(
    plain: pa.Table, decoded: list[int]
) -> None:
    seen: list[int] = []

    def other() -> None:
        with sharing():
            list(batches(plain, three, CPU))
            seen.append(sum(decoded))

    with pytest.raises(KeyError), sharing():
        list(batches(plain, three, CPU))
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert seen == [28]
        with sharing():
            list(batches(plain, three, CPU))
        assert sum(decoded) == 42
        list(batches(plain, three, CPU))
        assert sum(decoded) == 42  # the outer one is in force again
        raise KeyError
    list(batches(plain, three, CPU))
    assert sum(decoded) == 56


def test_a_table_without_keys_is_decoded_each_time(plain: pa.Table, decoded: list[int]) -> None:
    with sharing():
        for _ in range(2):
            list(batches(plain.drop_columns(["key"]), three, CPU))
    assert sum(decoded) == 28


# --- threads --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({}, 1), ({"OMP_NUM_THREADS": "3"}, 3), ({"CURATE_DECODE_THREADS": "0"}, 1),
        ({"CURATE_DECODE_THREADS": "2", "OMP_NUM_THREADS": "8"}, 2),
        ({"CURATE_DECODE_THREADS": "many", "OMP_NUM_THREADS": "4"}, 4),
    ],
)  # fmt: skip
def test_threads_are_what_the_environment_says(
    told: dict[str, str], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in module.THREADS_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert decode_threads() == wanted


def test_threads_change_no_pixel(plain: pa.Table, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for count in ("1", "3"):
        monkeypatch.setenv("CURATE_DECODE_THREADS", count)
        found.append(list(batches(plain, three, CPU)))
    assert same(*found)


# --- on a GPU --------------------------------------------------------------------------------------
@pytest.mark.gpu
def test_a_gpu_gives_the_cpus_plan_and_nearly_its_pixels(plain: pa.Table) -> None:
    here, device = list(batches(plain, three, CPU)), torch.device("cuda", 0)
    with sharing():
        there = [list(batches(plain, three, device)) for _ in range(2)]
        fewer = list(batches(plain.take([1, 4, 2, 13]), three, device))
    assert [b.rows for b in there[0]] == [b.rows for b in here] and same(*there)
    for one, other in zip(here, there[0], strict=True):
        assert other.pixels.device == device and other.pixels.is_contiguous()
        for left, right in zip(one.pixels, other.pixels.cpu(), strict=True):
            assert psnr(left.numpy(), right.numpy()) >= 45
    by_row = {at: p for b in there[0] for at, p in zip(b.rows, b.pixels, strict=True)}
    chosen = [1, 4, 2, 13]
    for batch in fewer:
        for at, found in zip(batch.rows, batch.pixels, strict=True):
            assert torch.equal(found, by_row[chosen[at]])


@pytest.mark.gpu
def test_a_lane_reads_pixels_while_the_next_are_decoded(plain: pa.Table) -> None:
    """Memory that the lane still reads is not written again by the decoding of other batches."""
    from curate.models.launch import lane

    device = torch.device("cuda", 0)
    wanted = [b.pixels.double().sum().item() for b in batches(plain, three, device)]
    work = lane(device)
    sums = []
    weights = torch.randn(4096, 4096, device=device)
    for _ in range(5):
        for batch in batches(plain, three, device):
            with work.turn():
                busy = weights @ weights  # holds the lane up, so that reading comes late
                sums.append(work.fetch(batch.pixels.double().sum() + 0 * busy.sum()))
            del batch
    assert [found.wait().item() for found in sums] == wanted * 5
