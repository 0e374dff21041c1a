"""Every stage and barrier that exists is held to the contract; none can be forgotten."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from contract import BARRIERS, EXAMPLES, Example, Surroundings, consumed, every, nulls
from loopback import serve
from pydantic import BaseModel, TypeAdapter, ValidationError

from curate import columns as c
from curate.stage import Barrier, Stage, Transform, apply, kind_of, mark, with_marks

STAGES = sorted(every(Stage))
BARRIER_KINDS = sorted(every(Barrier))
Open = Callable[[str], tuple[Example, Transform, pa.Table]]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Open]:
    """Each stage opened once, as a worker would, and closed at the end."""
    known: dict[str, tuple[Example, Transform, pa.Table]] = {}
    around = Surroundings(tmp_path_factory.mktemp("contract"))
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("CURATE_CONNECT_TO", json.dumps({"pictures.example": server.here}))

        def open_(kind: str) -> tuple[Example, Transform, pa.Table]:
            if kind not in known:
                example = EXAMPLES[kind](around)
                table = consumed(example.stage, around.rows)
                known[kind] = (example, example.stage.open(), table)
            return known[kind]

        yield open_
        for _, transform, _ in known.values():
            getattr(transform, "close", lambda: None)()


# --- nothing is forgotten ------------------------------------------------------------------------
def test_every_stage_has_an_example_and_a_place_in_recipes() -> None:
    assert set(EXAMPLES) == set(STAGES)
    assert set(BARRIERS) == set(BARRIER_KINDS)
    from curate.recipe import AnyBarrier, AnyStage

    assert _kinds(AnyStage) == set(STAGES)
    assert _kinds(AnyBarrier) == set(BARRIER_KINDS)


def _kinds(union: Any) -> set[str]:
    return set(TypeAdapter(union).json_schema()["discriminator"]["mapping"])


# --- declarations --------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", STAGES)
def test_declarations(kind: str, opened: Open) -> None:
    stage = opened(kind)[0].stage
    assert isinstance(stage, Stage) and getattr(stage, "kind") == kind  # noqa: B009
    named = {f.name: f for f in vars(c).values() if isinstance(f, pa.Field)}
    for field in (*stage.consumes, *stage.produces):
        assert field.equals(named[field.name], check_metadata=True), "columns.py is their home"
    assert stage.consumes.names[0] == "key"
    assert not set(stage.produces.names) & {*stage.consumes.names, *c.MARKS.names}
    assert set(stage.field_metadata()) <= set(stage.produces.names)
    assert stage.needs.cpus > 0
    assert type(stage).__doc__


@pytest.mark.parametrize("kind", [*STAGES, *BARRIER_KINDS])
def test_settings_travel_as_pickle_json_and_recipe(kind: str, opened: Open) -> None:
    value: Stage | Barrier = BARRIERS[kind]() if kind in BARRIERS else opened(kind)[0].stage
    from curate.recipe import AnyBarrier, AnyStage

    union: Any = AnyBarrier if kind in BARRIERS else AnyStage
    dumped = value.model_dump(mode="json")
    assert pickle.loads(pickle.dumps(value)) == value
    assert type(value).model_validate_json(value.model_dump_json()) == value
    assert TypeAdapter(union).validate_python(dumped) == value
    assert json.loads(json.dumps(value.identity(), sort_keys=True)) == value.identity()
    assert value.identity() == pickle.loads(pickle.dumps(value)).identity()
    assert hash(value) == hash(pickle.loads(pickle.dumps(value)))
    with pytest.raises(ValidationError, match="frozen"):
        value.kind = "other"  # type: ignore[union-attr]
    with pytest.raises(ValidationError, match="misspelt"):
        type(value).model_validate(dumped | {"misspelt": 1})


# --- rows ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", STAGES)
def test_rows_are_conserved_and_foreign_columns_untouched(kind: str, opened: Open) -> None:
    example, transform, table = opened(kind)
    extra = table.append_column("of_another", pa.array(range(len(table)), pa.int64()))
    done = apply(example.stage, extra, transform)
    _well_formed(example.stage, done)
    for name in extra.column_names:
        assert done[name].equals(extra[name]), name
    assert 0 < done["verdict"].null_count < len(done), "the example has rows that live and that go"


@pytest.mark.parametrize("kind", STAGES)
def test_an_empty_table(kind: str, opened: Open) -> None:
    example, transform, table = opened(kind)
    done = apply(example.stage, table.slice(0, 0), transform)
    _well_formed(example.stage, done)
    direct = transform(with_marks(table.slice(0, 0)))  # harmless even when called
    assert len(direct) == len(done) == 0
    for field in example.stage.produces:
        assert direct.schema.field(field.name).type == field.type


@pytest.mark.parametrize("kind", STAGES)
def test_null_columns_are_verdicts(kind: str, opened: Open) -> None:
    example, transform, table = opened(kind)
    given = nulls(example.stage, table)
    done = apply(example.stage, given, transform)
    _well_formed(example.stage, done)
    living = len(table) if example.nulls_pass else 0
    assert done["verdict"].null_count == living, "a row without anything to judge by may not live"
    mixed = pa.concat_tables([table.slice(0, 2), given.slice(2)])
    both = apply(example.stage, mixed, transform)
    whole = apply(example.stage, table, transform)
    _same(both.slice(0, 2), whole.slice(0, 2), example)
    assert both["reason"].slice(2).equals(done["reason"].slice(2))


@pytest.mark.parametrize("kind", STAGES)
def test_rejected_rows_are_not_shown(kind: str, opened: Open) -> None:
    example, _, table = opened(kind)
    gone = mark(table, ["removed"] * len(table), stage="earlier")

    def transform(table: pa.Table) -> pa.Table:
        raise RuntimeError("called without a living row")

    done = apply(example.stage, gone, transform)
    _well_formed(example.stage, done)
    for field in example.stage.produces:
        assert done[field.name].null_count == len(table)


@pytest.mark.parametrize("kind", STAGES)
def test_marks_stay_and_do_not_touch_their_neighbours(kind: str, opened: Open) -> None:
    example, transform, table = opened(kind)
    reasons = ["removed" if at % 2 else None for at in range(len(table))]
    marked = mark(
        table, reasons, stage="earlier", value=[7.0] * len(table), text=["x"] * len(table)
    )
    done = apply(example.stage, marked, transform)
    _well_formed(example.stage, done)
    odd, even = list(range(1, len(table), 2)), list(range(0, len(table), 2))
    for name in c.MARKS.names:
        assert done[name].take(odd).equals(marked[name].take(odd))
    whole = apply(example.stage, table, transform)
    _same(done.take(even), whole.take(even), example)


@pytest.mark.parametrize("kind", STAGES)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_how_rows_are_batched_does_not_matter(kind: str, size: int, opened: Open) -> None:
    example, transform, table = opened(kind)
    whole = apply(example.stage, table, transform)
    parts = [
        apply(example.stage, table.slice(at, size), transform) for at in range(0, len(table), size)
    ]
    _same(pa.concat_tables(parts), whole, example)


@pytest.mark.parametrize("kind", STAGES)
def test_the_same_table_twice_is_the_same_to_the_bit(kind: str, opened: Open) -> None:
    example, transform, table = opened(kind)
    first, second = (apply(example.stage, table, transform) for _ in range(2))
    exact = Example(example.stage)
    _same(first, second, exact)


@pytest.mark.parametrize("kind", sorted(set(STAGES) - {"download"}))  # a process of its own
def test_a_stage_from_a_pickle_works_alike(kind: str, opened: Open) -> None:
    example, transform, table = opened(kind)
    copy = pickle.loads(pickle.dumps(example.stage))
    _same(apply(copy, table), apply(example.stage, table, transform), Example(example.stage))


def _well_formed(stage: Stage, done: pa.Table) -> None:
    """Declared columns with declared types and roles; every mark whole and in the closed sets."""
    for field in (*stage.produces, *c.MARKS):
        assert done.schema.field(field.name).equals(field, check_metadata=True)
    for row in done.select(c.MARKS.names).to_pylist():
        assert (row["verdict"] is None) == (row["reason"] is None) == (row["stage"] is None)
        if row["verdict"] is not None:
            assert row["verdict"] in ("rejected", "failed")
            assert kind_of(row["reason"])
            assert row["retryable"] is not None
            assert row["retryable"] is False or row["verdict"] == "failed"
    done.validate(full=True)


# --- comparing -----------------------------------------------------------------------------------
def _same(left: pa.Table, right: pa.Table, example: Example) -> None:
    """Equal keys, marks and produced columns; model columns within their tolerance."""
    told = example.stage.field_metadata()
    for field in (c.KEY, *example.stage.produces, *c.MARKS):
        if c.role_of(field) == "observation":
            continue
        a, b = (t[field.name].combine_chunks() for t in (left, right))
        allowed = example.tolerance.get(field.name)
        if allowed is None:
            assert a.equals(b) or _bits(a) == _bits(b), field.name
        else:
            assert _furthest(a, b, told[field.name].get("dtype")) <= allowed, field.name


def _bits(values: pa.Array) -> str:
    return repr(values.to_pylist())  # NaN equals NaN here


def _furthest(left: pa.Array, right: pa.Array, dtype: str | None) -> float:
    """Greatest absolute difference between two columns of numbers or of encoded numbers."""
    a, b = left.to_pylist(), right.to_pylist()
    assert len(a) == len(b)
    return max((_apart(x, y, dtype) for x, y in zip(a, b, strict=True)), default=0.0)


def _apart(left: Any, right: Any, dtype: str | None) -> float:
    if left is None or right is None:
        assert left is right, "null on one side only"
        return 0.0
    if isinstance(left, list):
        assert len(left) == len(right)
        return max((_apart(x, y, dtype) for x, y in zip(left, right, strict=True)), default=0.0)
    if isinstance(left, bytes):
        x, y = (_decoded(value, dtype) for value in (left, right))
        assert x.shape == y.shape
        return float(np.abs(x - y).max(initial=0.0))
    return abs(float(left) - float(right))


def _decoded(value: bytes, dtype: str | None) -> np.ndarray:
    if dtype == "bfloat16":
        wide = np.frombuffer(value, "<u2").astype(np.uint32) << 16
        return wide.view(np.float32).astype(np.float64)
    assert dtype == "float16", f"a model column says what its bytes are; this says {dtype!r}"
    return np.frombuffer(value, "<f2").astype(np.float64)


# --- barriers ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def all_rows(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    return Surroundings(tmp_path_factory.mktemp("barriers")).rows


@pytest.mark.parametrize("kind", BARRIER_KINDS)
def test_a_barrier_marks_some_of_its_rows_whatever_their_order(
    kind: str, all_rows: pa.Table
) -> None:
    barrier = BARRIERS[kind]()
    given = consumed(barrier, all_rows)
    marks = barrier.decide([given])
    _whole_marks(marks, given)
    assert 0 < len(marks) < len(given), "the example has rows that go and rows that stay"
    backwards = given.take(list(range(len(given)))[::-1])
    for parts in (
        [backwards],
        [given.slice(at, 1) for at in range(len(given))],
        [given.slice(0, 0), given.slice(0, 3), given.slice(3)],
        [given.select(given.column_names[::-1])],
    ):
        again = BARRIERS[kind]().decide(iter(parts))
        assert repr(again.to_pylist()) == repr(marks.to_pylist())


@pytest.mark.parametrize("kind", BARRIER_KINDS)
def test_a_barrier_without_rows(kind: str, all_rows: pa.Table) -> None:
    empty = consumed(BARRIERS[kind](), all_rows).slice(0, 0)
    for tables in ([], [empty], [empty, empty]):
        _whole_marks(BARRIERS[kind]().decide(iter(tables)), empty)


@pytest.mark.parametrize("kind", BARRIER_KINDS)
def test_a_barrier_over_nulls(kind: str, all_rows: pa.Table) -> None:
    given = nulls(BARRIERS[kind](), all_rows)
    marks = BARRIERS[kind]().decide([given])
    _whole_marks(marks, given)
    assert len(marks) in (0, len(given))


@pytest.mark.parametrize("kind", BARRIER_KINDS)
def test_a_barrier_declares_columns_of_columns_py(kind: str) -> None:
    barrier = BARRIERS[kind]()
    named = {f.name: f for f in vars(c).values() if isinstance(f, pa.Field)}
    assert barrier.consumes.names[0] == "key"
    for field in barrier.consumes:
        assert field.equals(named[field.name], check_metadata=True)
    assert isinstance(barrier, BaseModel) and type(barrier).__doc__


def _whole_marks(marks: pa.Table, given: pa.Table) -> None:
    assert marks.schema.equals(pa.schema([c.KEY, *c.MARKS]), check_metadata=True)
    keys = marks["key"].to_pylist()
    assert keys == sorted(set(keys))
    assert set(keys) <= set(given["key"].to_pylist())
    assert pc.all(pc.equal(marks["verdict"], "rejected"), min_count=0).as_py()
    for row in marks.to_pylist():
        assert kind_of(row["reason"]) and row["stage"]
        assert row["related_key"] is None or row["related_key"] not in keys, "a survivor survives"


def test_the_contract_runs_the_builtin_models_offline(opened: Open) -> None:
    assert os.environ.get("HF_HUB_OFFLINE") == "1"
    assert {opened(kind)[0].stage.model_dump()["model"] for kind in ("clip_score", "t5", "vae")} == {
        "builtin:tiny"
    }  # fmt: skip


def test_tolerances_are_for_model_columns_only(tmp_path: Path) -> None:
    for kind, example in EXAMPLES.items():
        made = example(Surroundings(tmp_path))
        for name in made.tolerance:
            assert c.role_of(made.stage.produces.field(name)) == "model", kind
