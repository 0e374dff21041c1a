"""The T5 stage: forms, rows in order, memory that runs out, what cannot be stored, start-up."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from t5_models import write

from curate import columns as c
from curate.errors import EngineError, ModelError
from curate.models.caption_shelf import Shelf
from curate.models.launch import Pending
from curate.models.t5 import T5
from curate.stages import t5 as stage_module
from curate.stages.encoders import Opened
from curate.stages.t5 import T5Stage
from curate.store.numbers import INT8, decoded, dequantise

SCHEMA = pa.schema([c.KEY, c.CAPTIONS])
CAPTIONS = [
    ["a red circle above a small blue square"], ["a green ring", "A GREEN ring ", None],
    None, ["navy background", "a red circle above a small blue square"], [], [" "], ["red " * 200],
]  # fmt: skip


def table(captions: list[list[str | None] | None]) -> pa.Table:
    rows = [
        {"key": str(n), "captions": None if texts is None else [{"text": text} for text in texts]}
        for n, texts in enumerate(captions)
    ]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def run(stage: T5Stage, captions: list[list[str | None] | None]) -> pa.Table:
    done = stage.open()(table(captions))
    done.validate(full=True)
    return done


def column(done: pa.Table, name: str) -> list[Any]:
    values: list[Any] = done[name].to_pylist()
    return values


@pytest.fixture(scope="module")
def tiny() -> T5:
    return T5.load("builtin:tiny")


def out_of_memory(monkeypatch: pytest.MonkeyPatch, room: int) -> list[int]:
    """Let packs of more than some tokens run out of memory; returns the tokens of those that fit."""
    states, fitted = T5.states, []

    def tight(self: T5, ids: Any, **options: Any) -> torch.Tensor:
        tokens = sum(len(caption) for caption in ids)
        if tokens > room:
            raise torch.OutOfMemoryError("planted")
        fitted.append(tokens)
        return states(self, ids, **options)

    monkeypatch.setattr(T5, "states", tight)
    return fitted


# --- values ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("store", "dtype", "within"), [("bfloat16", "bfloat16", 0.005), ("int8", INT8, 0.014)]
)
def test_each_row_holds_its_captions_in_place(
    store: str, dtype: str, within: float, tiny: T5
) -> None:
    stage = T5Stage.model_validate({"store": store})
    done = run(stage, CAPTIONS)
    assert stage.field_metadata()["t5_embeddings"]["dtype"] == dtype
    assert column(done, "reason") == [None, None, "caption", None, "caption", "caption", None]
    for texts, stored, tokens in zip(
        CAPTIONS, column(done, "t5_embeddings"), column(done, "t5_tokens"), strict=True
    ):
        if not texts or not any(text and text.strip() for text in texts):
            assert stored is None and tokens is None
            continue
        wanted = tiny.encode([text or "" for text in texts])
        assert tokens == [len(states) for states in wanted]
        for states, told in zip(wanted, stored, strict=True):
            found = decoded(told, dtype, tiny.dim)
            assert found.shape == states.shape
            assert np.linalg.norm(found - states) <= within * np.linalg.norm(states)
    assert column(done, "t5_batch") == [None] * len(CAPTIONS)


def test_the_8_bit_form_says_how_it_is_read_and_is_another_version() -> None:
    plain, small = T5Stage(), T5Stage(store="int8")
    assert "block" not in plain.field_metadata()["t5_embeddings"]
    assert small.field_metadata()["t5_embeddings"] == plain.field_metadata()["t5_embeddings"] | {
        "dtype": "int8-blocks64", "block": "64",
    }  # fmt: skip
    assert plain.identity() != small.identity() != T5Stage(pack_tokens=4096).identity()
    [[stored]] = column(run(small, [["a red ring"]]), "t5_embeddings")
    assert len(stored) == 4 * (128 + 2 * 2)
    assert dequantise(stored, 128).shape == (4, 128)


@given(
    st.lists(
        st.none() | st.lists(st.sampled_from(["red", "a blue ring", "", None, "a " * 20]), max_size=3),
        min_size=1, max_size=12,
    ),
    st.integers(120, 300),
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_any_rows_come_out_as_each_caption_alone(
    tiny: T5, captions: list[list[str | None] | None], pack_tokens: int
) -> None:
    done = T5Stage(pack_tokens=pack_tokens).encode(table(captions), tiny)
    for texts, stored in zip(captions, column(done, "t5_embeddings"), strict=True):
        if not any(text and text.strip() for text in texts or []):
            assert stored is None
            continue
        for text, told in zip(texts or [], stored, strict=True):
            [alone] = tiny.encode([text or ""])
            np.testing.assert_allclose(decoded(told, "bfloat16", 128), alone, rtol=0.01, atol=0.01)


def test_repeated_captions_are_one_in_the_encoder_and_many_in_the_rows(
    tiny: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = out_of_memory(monkeypatch, 10**6)
    done = T5Stage().encode(table([["a red ring"], ["A red RING", "a ring"]] * 50), tiny)
    assert fitted == [4 + 3]
    assert len({blob for row in column(done, "t5_embeddings") for blob in row}) == 2


def test_values_are_the_memory_that_came_from_the_device(
    tiny: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[torch.Tensor] = []
    fetch = Shelf.fetch

    def seen(self: Shelf) -> tuple[Pending, Pending]:
        pending = fetch(self)
        fetched.append(pending[0].wait())
        return pending

    monkeypatch.setattr(Shelf, "fetch", seen)
    done = T5Stage().encode(table(CAPTIONS), tiny)
    [chunk] = done["t5_embeddings"].chunks
    assert chunk.values.buffers()[2].address == fetched[0].data_ptr()
    assert chunk.values.buffers()[2].size == fetched[0].numel() * 2


def test_packs_follow_from_recipe_and_rows_alone(tiny: T5, monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = out_of_memory(monkeypatch, 10**6)
    rows = table([[f"{'a ' * (n % 60)}{n}"] for n in range(200)])
    for _ in range(2):
        T5Stage(pack_tokens=500).encode(rows, tiny)
    half = len(fitted) // 2
    assert fitted[:half] == fitted[half:]
    assert max(fitted) <= 500 and half <= -(-sum(fitted[:half]) // 400)


def test_threads_encode_different_shards_at_once(tiny: T5) -> None:
    stage = T5Stage()
    shards = [table([[f"{word} {n}"] for n in range(40)]) for word in ("red", "blue", "green")]
    alone = [stage.encode(shard, tiny) for shard in shards]
    found: dict[int, pa.Table] = {}

    def work(number: int) -> None:
        found[number] = stage.encode(shards[number], tiny)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[number].equals(one) for number, one in enumerate(alone))


# --- what cannot be stored ------------------------------------------------------------------------
@pytest.mark.parametrize("store", ["bfloat16", "int8"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_number_that_is_not_finite_rejects_the_rows_that_hold_its_caption(
    tiny: T5, monkeypatch: pytest.MonkeyPatch, store: Any, value: float
) -> None:
    states = T5.states
    [bad] = tiny.tokens(["a green ring"])

    def broken(self: T5, ids: Any, **options: Any) -> torch.Tensor:
        found = states(self, ids, **options)
        ends = np.cumsum([len(caption) for caption in ids])
        for caption, end in zip(ids, ends, strict=True):
            if caption == bad:
                found[end - 1, 77] = value
        return found

    monkeypatch.setattr(T5, "states", broken)
    rows = [["red"], ["a green ring"], ["blue", "a green ring"], [""], ["navy"]]
    done = T5Stage(store=store).encode(table(rows), tiny)  # type: ignore[arg-type]
    assert column(done, "reason") == [None, "numeric:t5", "numeric:t5", "caption", None]
    assert column(done, "verdict") == [None, "rejected", "rejected", "rejected", None]


def test_memory_that_runs_out_halves_the_pack_and_is_recorded(
    tiny: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = table([[f"{'a ' * 18}{n}"] for n in range(40)])
    whole = T5Stage().encode(rows, tiny)
    tokens = sum(count for [count] in column(whole, "t5_tokens"))
    fitted = out_of_memory(monkeypatch, 200)
    done = T5Stage(pack_tokens=16384).encode(rows, tiny)
    [batch] = {*column(done, "t5_batch")}
    assert tokens > 800 and 100 <= batch < 400 and max(fitted) <= min(batch, 200)
    assert column(done, "reason") == [None] * 40
    for one, other in zip(
        column(done, "t5_embeddings"), column(whole, "t5_embeddings"), strict=True
    ):
        a, b = (decoded(told[0], "bfloat16", 128) for told in (one, other))
        assert np.linalg.norm(a - b) <= 0.01 * np.linalg.norm(b)
    assert column(whole, "t5_batch") == [None] * 40


def test_a_caption_that_does_not_fit_alone_fails_its_rows_alone(
    tiny: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[list[str | None] | None] = [
        ["red"], ["a " * 90], ["blue", "a " * 90], ["navy"], None, ["a " * 60, "red"],
    ]  # fmt: skip
    out_of_memory(monkeypatch, 70)
    done = T5Stage().encode(table(rows), tiny)
    done.validate(full=True)
    assert column(done, "reason") == [None, "out_of_memory", "out_of_memory", None, "caption", None]
    assert column(done, "verdict") == [None, "failed", "failed", None, "rejected", None]
    assert column(done, "retryable")[1:3] == [True, True]
    for name in ("t5_embeddings", "t5_tokens"):
        assert [value is None for value in column(done, name)] == [
            False,
            True,
            True,
            False,
            True,
            False,
        ]
    [red] = tiny.encode(["red"])
    np.testing.assert_allclose(
        decoded(column(done, "t5_embeddings")[5][1], "bfloat16", 128), red, rtol=0.01, atol=0.01
    )


def test_a_device_without_any_memory_fails_every_row(
    tiny: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    out_of_memory(monkeypatch, 0)
    done = T5Stage().encode(table([["red"], None, ["blue"]]), tiny)
    done.validate(full=True)
    assert column(done, "reason") == ["out_of_memory", "caption", "out_of_memory"]
    assert column(done, "t5_embeddings") == [None] * 3


def test_a_shard_beyond_what_arrow_can_hold_says_what_to_do(
    tiny: T5, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        pytest.fail("nothing is computed for a shard that cannot be stored")

    monkeypatch.setattr(T5, "states", never)
    rows = table([["a red ring"]] * 2)
    monkeypatch.setattr(stage_module, "MOST_BYTES", 2 * 4 * 128 * 2 - 1)
    with pytest.raises(EngineError, match="lower shard_rows in the recipe, or say store: int8"):
        T5Stage().encode(rows, tiny)
    assert T5Stage(store="int8").dtype == INT8
    monkeypatch.undo()
    monkeypatch.setattr(stage_module, "MOST_BYTES", 2 * 4 * 128 * 2)
    assert len(T5Stage().encode(rows, tiny)) == 2


# --- start-up -------------------------------------------------------------------------------------
def test_the_model_is_held_against_float32_on_the_runs_own_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: dict[str, Any] = {}
    load = T5.load.__func__  # type: ignore[attr-defined]

    def seen(cls: type[T5], ref: str, **options: Any) -> T5:
        given.update(options)
        return load(cls, ref, **options)  # type: ignore[no-any-return]

    monkeypatch.setattr(T5, "load", classmethod(seen))
    transform = T5Stage(tolerance=0.03).open()
    assert isinstance(transform, Opened)
    rows = [*CAPTIONS[:6], *[[f"row {n}"] for n in range(100)]]
    agreements = transform.start(table(rows))
    assert given["sample"][:3] == [
        "a red circle above a small blue square", "a green ring", "navy background",
    ]  # fmt: skip
    assert len(given["sample"]) == 64 - 3, "of 64 rows those that have text"
    assert (given["tolerance"], given["store"]) == (0.03, "bfloat16")
    assert [one.encoder for one in agreements] == ["t5"]
    assert transform.start(table(rows)) == agreements, "loaded once"


def test_an_8_bit_form_out_of_tolerance_is_refused_at_the_start() -> None:
    rows = table([["a red ring"], ["a blue square"]])
    [_, stored] = T5Stage(store="int8").open().start(rows)  # type: ignore[attr-defined]
    assert (stored.encoder, stored.used, stored.rows) == ("t5 int8", True, 2)
    with pytest.raises(ModelError, match="store: bfloat16"):
        T5Stage(store="int8", tolerance=0.001).open()(rows)


def test_checkpoints_of_other_families_run_through_the_stage(tmp_path: Path) -> None:
    model = write(tmp_path / "umt5", "umt5")
    done = run(T5Stage(model=str(model)), [["a red circle"], ["navy"]])
    assert column(done, "t5_tokens") == [[4], [2]]
    assert T5Stage(model=str(model)).field_metadata()["t5_embeddings"]["dim"] == "48"


@pytest.mark.parametrize("setting", [{"pack_tokens": 119}, {"store": "int4"}, {"pack_token": 1}])
def test_settings_are_strict(setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(setting))):
        T5Stage.model_validate(setting)
