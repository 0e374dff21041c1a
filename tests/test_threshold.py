"""The threshold barrier: by number, by quantile, and closed to what has no score."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curate import columns as c
from curate.errors import ContractError
from curate.stage import kind_of
from curate.stages.threshold import SCORES, Threshold

NAN = float("nan")
Score = float | None


def table(scores: list[Score]) -> pa.Table:
    keys = [f"{i:04d}" for i in range(len(scores))]
    return pa.table({"key": keys, "clip_score": scores}, schema=pa.schema([c.KEY, c.CLIP_SCORE]))


def gone(threshold: Threshold, scores: list[Score]) -> list[int]:
    return [int(key) for key in threshold.decide([table(scores)])["key"].to_pylist()]


def test_at_least_keeps_equals_and_rejects_what_has_no_score() -> None:
    marks = Threshold(at_least=0.25).decide([table([0.25, 0.24, None, NAN, 0.5, float("-inf")])])
    assert marks.schema.equals(pa.schema([c.KEY, *c.MARKS]), check_metadata=True)
    rows = marks.to_pylist()
    assert [row["key"] for row in rows] == ["0001", "0002", "0003", "0005"]
    assert rows[0]["measured_value"] == pytest.approx(0.24)
    assert rows[1]["measured_value"] is None and rows[2]["measured_value"] is None
    assert {(r["verdict"], r["reason"], r["stage"], r["retryable"], r["related_key"])
            for r in rows} == {("rejected", "clip_score", "threshold", False, None)}  # fmt: skip
    assert rows[0]["measured_text"] == "at least 0.25"


def test_quantile_by_sorting_with_ties_kept() -> None:
    assert gone(Threshold(quantile=0.5), [4.0, 1.0, 3.0, 2.0]) == [1, 3]
    assert gone(Threshold(quantile=0.5), [1.0, 1.0, 1.0, 2.0]) == []
    assert gone(Threshold(quantile=0.75), [1.0, 1.0, 1.0, 2.0]) == [0, 1, 2]
    assert gone(Threshold(quantile=0.0), [3.0, None, 1.0]) == [1]
    assert gone(Threshold(quantile=0.5), [None, NAN]) == [0, 1]
    assert gone(Threshold(quantile=0.5), []) == []


def test_a_quantile_counts_in_decimals() -> None:
    scores: list[Score] = [float(i) for i in range(100)]
    for part in (0.07, 0.14, 0.29, 0.57, 0.58):
        assert len(gone(Threshold(quantile=part), scores)) == round(part * 100)


@given(
    st.lists(st.one_of(st.none(), st.floats(width=32)), max_size=40), st.integers(0, 99),
    st.randoms(use_true_random=False),
)  # fmt: skip
def test_neither_order_nor_split_matters(
    scores: list[Score], percent: int, shuffle: random.Random
) -> None:
    threshold, whole = Threshold(quantile=percent / 100), table(scores)
    order = list(range(len(scores)))
    shuffle.shuffle(order)
    mixed = whole.take(pa.array(order, pa.int64()))
    parts = [mixed.slice(at, 7) for at in range(0, len(mixed), 7)]
    assert repr(threshold.decide(iter(parts)).to_pydict()) == repr(
        threshold.decide([whole]).to_pydict()
    )
    known = [s for s in scores if s is not None and s == s]
    rejected = len(threshold.decide([whole])) - (len(scores) - len(known))
    assert 0 <= rejected <= len(known) * percent / 100


def test_any_number_a_row_can_be_the_score() -> None:
    threshold = Threshold(column="width", at_least=100, reason="too_small")
    assert threshold.consumes == pa.schema([c.KEY, c.WIDTH])
    assert Threshold(at_least=1).consumes == Threshold.consumes == pa.schema([c.KEY, c.CLIP_SCORE])
    widths = pa.table({"width": [99, 100], "key": ["a", "b"]},
                      schema=pa.schema([c.WIDTH, c.KEY]))  # fmt: skip
    [row] = threshold.decide([widths]).to_pylist()
    assert (row["key"], row["reason"], row["measured_value"]) == ("a", "too_small", 99.0)
    assert {"clip_score", "width", "evidence_level"} <= set(SCORES)
    assert not {"key", "clip_scores", "phash"} & set(SCORES)


@pytest.mark.parametrize(
    ("settings", "words"),
    [({}, "and not both"), ({"at_least": 0.1, "quantile": 0.1}, "and not both"),
     ({"quantile": 1.0}, "less than 1"), ({"at_least": NAN}, "finite"),
     ({"at_least": 1, "column": "kay"}, "'kay' is not a number a row"),
     ({"at_least": 1, "reason": "ugly"}, "'ugly' is not one of")],
)  # fmt: skip
def test_wrong_settings_say_what_is_wrong(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Threshold(**settings)


def test_the_default_reason_is_in_the_closed_set() -> None:
    assert kind_of(Threshold(at_least=0).reason) == "clip_score"
    with pytest.raises(ContractError):
        kind_of("ugly")
