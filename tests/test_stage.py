"""stage.apply holds a stage to the contract, and keeps marked rows out of its sight."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curate import columns as c
from curate.errors import ContractError
from curate.stage import Stage, Transform, apply, kind_of, mark, reject, with_marks

KEYS = pa.table({"key": list("abcd")}, schema=pa.schema([c.KEY]))
HALF = mark(KEYS, ["aspect", None, "aspect", None], stage="earlier", value=[9.0, None, 8.0, None])
TRANSFORMS: dict[str, Transform] = {}


class Probe(Stage):
    """A stage whose transform a test chooses by name."""

    kind: Literal["probe"] = "probe"
    name: str = ""
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY])

    def open(self) -> Transform:
        return TRANSFORMS[self.name]


class Scores(Probe):
    produces: ClassVar[pa.Schema] = pa.schema([c.CLIP_SCORE])


def run(transform: Transform, table: pa.Table, stage: type[Stage] = Probe) -> pa.Table:
    return apply(stage(), table, transform)


def scored(table: pa.Table, values: list[float | None] | None = None) -> pa.Table:
    numbers = values or [float(i) for i in range(len(table))]
    return table.append_column(c.CLIP_SCORE.name, pa.array(numbers, pa.float32()))


def test_only_living_rows_are_shown_and_marked_rows_come_back_in_place() -> None:
    seen: list[list[str]] = []

    def transform(table: pa.Table) -> pa.Table:
        seen.append(table["key"].to_pylist())
        return scored(table)

    done = run(transform, HALF, Scores)
    assert seen == [["b", "d"]]
    assert done["key"].to_pylist() == list("abcd")
    assert done["clip_score"].to_pylist() == [None, 0.0, None, 1.0]
    assert done["reason"].to_pylist() == ["aspect", None, "aspect", None]
    assert done["measured_value"].to_pylist() == [9.0, None, 8.0, None]


@pytest.mark.parametrize("table", [KEYS.slice(0, 0), mark(KEYS, ["aspect"] * 4, stage="earlier")])
def test_without_living_rows_the_transform_is_not_called(table: pa.Table) -> None:
    def transform(table: pa.Table) -> pa.Table:
        raise RuntimeError("called")

    done = run(transform, table, Scores)
    assert done["key"].to_pylist() == table["key"].to_pylist()
    assert done["clip_score"].null_count == len(table)


@pytest.mark.parametrize("table", [KEYS, KEYS.slice(0, 0), HALF])
def test_columns_carry_the_declared_role(table: pa.Table) -> None:
    done = run(scored, table, Scores)
    assert c.role_of(done.schema.field("clip_score")) == "model"
    assert c.role_of(done.schema.field("measured_value")) == "model"
    assert c.role_of(done.schema.field("key")) == "fact"


BREACHES: dict[str, tuple[type[Stage], Callable[[pa.Table], pa.Table], str]] = {
    "loses a row": (Probe, lambda t: t.slice(1), "lost"),
    "adds a row": (Probe, lambda t: pa.concat_tables([t, t.slice(0, 1)]), "lost, added"),
    "reorders": (Probe, lambda t: t.take([1, 0, 2, 3]), "reordered"),
    "adds a column": (Probe, scored, "undeclared or missing"),
    "forgets its column": (Scores, lambda t: t, "undeclared or missing"),
    "drops another's column": (Probe, lambda t: t.drop_columns(["width"]), "undeclared or missing"),
    "changes another's column": (
        Probe, lambda t: t.set_column(t.column_names.index("width"), "width",
                                      pc.add(t["width"], 1)), "not its own",
    ),
    "another type": (
        Scores, lambda t: t.append_column("clip_score", pa.array([1.0] * len(t))), "found double",
    ),
    "a column twice": (Probe, lambda t: t.append_column("width", t["width"]), "twice ['width']"),
    "a reason out of the blue": (Probe, lambda t: _with(t, "rejected", "ugly"), "not one of"),
    "a verdict out of the blue": (Probe, lambda t: _with(t, "kept", "aspect"), "'kept'"),
    "a verdict without reason": (Probe, lambda t: _with(t, "rejected", None), "without a reason"),
    "a reason without verdict": (Probe, lambda t: _with(t, None, "aspect"), "without a reason"),
}  # fmt: skip


def _with(table: pa.Table, verdict: str | None, reason: str | None) -> pa.Table:
    for name, value in (("verdict", verdict), ("reason", reason)):
        column = pa.array([value] * len(table), pa.string())
        table = table.set_column(table.column_names.index(name), name, column)
    return table


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_of_the_contract_is_an_error_that_names_the_stage(breach: str) -> None:
    stage, transform, words = BREACHES[breach]
    table = KEYS.append_column(c.WIDTH, pa.array([1, 2, 3, 4], pa.int32()))
    with pytest.raises(ContractError, match=r"stage probe|not one of") as raised:
        run(transform, table, stage)
    assert words in str(raised.value)


def test_a_missing_or_mistyped_input_is_named() -> None:
    class Wide(Probe):
        consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.WIDTH])

    with pytest.raises(ContractError, match="'width', which is not in the table"):
        run(lambda t: t, KEYS, Wide)
    with pytest.raises(ContractError, match="'width' as int32, found string"):
        run(lambda t: t, KEYS.append_column("width", pa.array(["1"] * 4)), Wide)


def test_nan_in_a_column_of_another_stage_is_no_change() -> None:
    nan = float("nan")
    table = scored(KEYS, [nan, 1.0, None, nan])
    table = table.append_column(
        c.CLIP_SCORES, pa.array([[nan], [], None, [1.0, nan]], c.CLIP_SCORES.type)
    )
    assert run(lambda t: t.take([0, 1, 2, 3]), table)["key"].to_pylist() == list("abcd")
    at = table.column_names.index("clip_score")
    other = pa.array([nan, 2.0, None, nan], pa.float32())
    with pytest.raises(ContractError, match="not its own"):
        run(lambda t: t.set_column(at, "clip_score", other), table)


def test_the_first_mark_stays() -> None:
    twice = mark(HALF, ["too_small"] * 4, stage="later", value=[1.0] * 4, text=["x"] * 4)
    assert twice["reason"].to_pylist() == ["aspect", "too_small", "aspect", "too_small"]
    assert twice["stage"].to_pylist() == ["earlier", "later"] * 2
    assert twice["measured_value"].to_pylist() == [9.0, 1.0, 8.0, 1.0]
    assert twice["measured_text"].to_pylist() == [None, "x", None, "x"]


def test_a_null_in_a_mask_rejects() -> None:
    mask = pa.array([True, False, None, False])
    assert reject(KEYS, mask, "aspect", stage="s")["verdict"].to_pylist() == [
        "rejected", None, "rejected", None,
    ]  # fmt: skip


def test_marks_are_checked() -> None:
    with pytest.raises(ContractError, match="3 reasons for 4 rows"):
        mark(KEYS, [None] * 3, stage="s")
    with pytest.raises(ContractError, match="'ugly' is not one of"):
        mark(KEYS, ["ugly:very", None, None, None], stage="s")
    assert kind_of("http:404") == "http"
    assert with_marks(KEYS).column_names == ["key", *c.MARKS.names]
    assert with_marks(HALF) is HALF


def test_fetched_bytes_of_a_shard_may_pass_two_gibibytes() -> None:
    """Originals are megabytes each: the column must hold more than 32-bit offsets can."""
    import pyarrow as pa

    from curate import columns as c

    assert c.BODY.type == pa.large_binary()
    assert c.role_of(c.BODY) == "transient", "never stored, so no reader meets the type"
