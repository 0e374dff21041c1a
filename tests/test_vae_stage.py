"""What the VAE's stage stores: forms, orders, memory that is handed over, memory that runs out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import autoencoders as ae
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from latent_shards import MIXED, Pixels, encode, latents, reasons, scenes, table

from curate.errors import ContractError
from curate.models.launch import Lane
from curate.models.vae import Vae
from curate.stages import latent_batches, latent_column
from curate.stages.latent_column import Block, binary
from curate.stages.vae import VaeStage

UNTRAINED = {"least_psnr": None}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# --- what is stored --------------------------------------------------------------------------------
def test_the_mode_is_the_first_half_of_the_moments() -> None:
    given = table(scenes(4))
    moments = latents(encode(VaeStage(), given))
    mode = latents(encode(VaeStage(store="mode"), given))
    for whole, half in zip(moments, mode, strict=True):
        assert whole is not None and half is not None
        assert whole.shape == (8, 16, 16) and half.shape == (4, 16, 16)
        assert np.array_equal(whole[:4], half)


@pytest.mark.parametrize("kind", ["dc", "tiny"])
def test_without_a_posterior_the_latent_is_stored_as_the_mode(kind: str, tmp_path: Path) -> None:
    folder = str(ae.save(tmp_path / kind, kind))
    stage = VaeStage(model=folder, **UNTRAINED)
    pixels = ae.pictures(3, width=48)
    found = encode(stage, table([*pixels]))
    wanted = Vae.load(folder).encode(pixels).astype(np.float16)
    assert np.array_equal(np.stack(latents(found)), wanted)
    notes = stage.field_metadata()["latent"]
    assert notes["posterior"] == "mode" and notes["class_name"] == ae.SETTINGS[kind][0]
    assert float(notes["scaling_factor"]) == Vae.load(folder).scaling_factor
    assert stage.field_metadata() == stage.model_copy(update={"store": "mode"}).field_metadata()


def test_the_metadata_says_what_the_bytes_are(tmp_path: Path) -> None:
    folder = ae.save(tmp_path / "kl", "kl", scaling_factor=0.3611, shift_factor=0.1159)
    for store in ("moments", "mode"):
        notes = VaeStage(model=str(folder), store=store).field_metadata()["latent"]
        assert notes == {
            "model": Vae.load(str(folder)).digest, "dtype": "float16", "posterior": store,
            "class_name": "AutoencoderKL", "channels": "4", "factor": "4",
            "scaling_factor": "0.3611", "shift_factor": "0.1159",
        }  # fmt: skip


# --- several buckets, splits, gaps -----------------------------------------------------------------


def test_rows_of_several_buckets_come_back_in_their_order() -> None:
    found = encode(VaeStage(batch_size=3), table(MIXED))
    vae = Vae.load("builtin:tiny")
    for stored, picture, reason in zip(latents(found), MIXED, reasons(found), strict=True):
        assert (picture is None) == (stored is None) == (reason == "corrupt")
        if picture is not None:
            assert stored is not None and stored.shape[1:] == tuple(
                side // 4 for side in picture.shape[:2]
            )
            np.testing.assert_allclose(stored, vae.encode(picture[None])[0], rtol=2**-9, atol=1e-3)


def test_a_shard_gives_the_same_whatever_part_of_it_comes_back_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage, given = VaeStage(batch_size=2), table(MIXED)
    whole = encode(stage, given)
    assert encode(stage, given).equals(whole)
    monkeypatch.setattr(latent_batches, "FETCH_BYTES", 5000)
    monkeypatch.setattr(latent_column, "SPAN_BYTES", 9000)
    found = encode(stage, given)
    assert found["latent"].num_chunks > 3
    assert found.combine_chunks().equals(whole.combine_chunks())
    parts = pa.concat_tables([encode(stage, given.slice(at, 4)) for at in (0, 4, 8)])
    assert reasons(parts) == reasons(whole)
    for one, other in zip(latents(parts), latents(whole), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=2**-9, atol=1e-3)


@pytest.mark.parametrize("gap", [False, True])
def test_one_bucket_is_handed_over_without_a_copy(
    gap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The values of the column are the memory that the device's results were fetched to."""
    fetched: list[torch.Tensor] = []
    fetch = Lane.fetch

    def watched(self: Lane, tensor: torch.Tensor) -> Any:
        pending = fetch(self, tensor)
        fetched.append(pending.host)
        return pending

    monkeypatch.setattr(Lane, "fetch", watched)
    pictures: list[Pixels | None] = [*scenes(5)]
    if gap:
        pictures[0] = pictures[3] = None
    stage = VaeStage(batch_size=2)
    column = stage.encode(table(pictures), stage.load(table([])))["latent"]
    assert column.num_chunks == 1
    assert column.chunk(0).buffers()[2].address in {tensor.data_ptr() for tensor in fetched}
    assert column.null_count == (2 if gap else 0)
    column.validate(full=True)


def test_a_latent_that_does_not_fit_its_bucket_is_never_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moments = Vae.moments
    given = table(scenes(2))
    stage = VaeStage(least_psnr=None)
    vae = stage.load(given)
    monkeypatch.setattr(Vae, "moments", lambda self, pixels: moments(self, pixels)[..., :-1])
    with pytest.raises(ContractError, match=r"row 0: a latent of 8 × 16 × 15 for a bucket 64 × 64"):
        encode(stage, given, vae)
    monkeypatch.setattr(Vae, "moments", lambda self, pixels: moments(self, pixels)[:, :6])
    with pytest.raises(ContractError, match="8 channels"):
        encode(stage, given, vae)


@pytest.mark.parametrize("wrong", [(1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0)])
def test_a_range_that_holds_nothing_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="the lower first"):
        VaeStage(std_range=wrong)


# --- memory ----------------------------------------------------------------------------------------
def test_memory_that_runs_out_halves_the_batch_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    given = table(MIXED)
    stage = VaeStage(batch_size=4)
    vae = stage.load(given)
    whole = encode(stage, given, vae)
    assert whole["vae_batch"].null_count == len(given)
    moments, sizes = Vae.moments, []

    def small(self: Vae, pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        if len(pixels) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return moments(self, pixels)

    monkeypatch.setattr(Vae, "moments", small)
    found = encode(stage, given, vae)
    assert found["vae_batch"].to_pylist() == [1] * len(given)
    assert reasons(found) == reasons(whole)
    assert sizes.count(1) == 10
    for one, other in zip(latents(found), latents(whole), strict=True):
        if one is not None:
            np.testing.assert_allclose(one, other, rtol=2**-9, atol=1e-3)


def test_a_row_that_does_not_fit_alone_fails_and_may_be_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pictures = scenes(6)
    given = table([*pictures])
    stage = VaeStage(batch_size=4)
    vae = stage.load(given)
    large, moments = torch.from_numpy(pictures[2].copy()), Vae.moments

    def full(self: Vae, pixels: torch.Tensor) -> torch.Tensor:
        if any(torch.equal(one, large) for one in pixels):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return moments(self, pixels)

    monkeypatch.setattr(Vae, "moments", full)
    found = encode(stage, given, vae)
    assert reasons(found) == [None, None, "out_of_memory", None, None, None]
    assert found["verdict"].to_pylist()[2] == "failed"
    assert found["retryable"].to_pylist() == [None, None, True, None, None, None]
    assert found["latent"].null_count == found["latent_width"].null_count == 1


# --- the column ------------------------------------------------------------------------------------
@given(st.data())
def test_the_column_holds_each_rows_bytes_whatever_the_blocks(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 30))
    order = data.draw(st.permutations(range(count)))
    order = sorted(order) if data.draw(st.booleans()) else order
    order = order[: data.draw(st.integers(0, count))]
    valid = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    told = {row: bytes([row]) * (1 + row % 5) for row in order}
    cuts = sorted(data.draw(st.lists(st.integers(0, len(order)), max_size=4)))
    blocks = []
    for start, stop in zip([0, *cuts], [*cuts, len(order)], strict=True):
        rows = order[start:stop]
        joined = b"".join(told[row] for row in rows)
        sizes = np.array([len(told[row]) for row in rows], np.int64)
        blocks.append(Block(np.array(rows, np.int64), sizes, np.frombuffer(joined, np.uint8)))
    column = binary(blocks, valid)
    column.validate(full=True)
    assert column.type == pa.binary()
    wanted = [told[row] if row in told and valid[row] else None for row in range(count)]
    assert column.to_pylist() == wanted
