"""Columns of claims: every form of column answers as its values do, one by one, and nothing twice."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import curate.license.codes as codes_module
from curate import columns as c
from curate.license import parse, parse_column
from curate.license.codes import encode, factorize
from curate.license.column import SCHEMA, judge, read_column
from curate.license.evidence import Claim, resolve

TEXTS = ["CC BY 4.0", None, "CC0", "", "CC BY 7.0", "CC BY 4.0", "CC BY", None, "all rights reserved",
         "CC-BY-4.0", "GFDL or CC BY-SA 3.0", "\u0000", "é" * 300]  # fmt: skip
EXPECTED = [parse(text, "text") for text in TEXTS]


def rows_of(values: pa.Array | pa.ChunkedArray, kind: str = "text") -> list[dict[str, str | None]]:
    return parse_column(values, kind).to_pylist()


def expected(texts: list[str | None]) -> list[dict[str, str | None]]:
    answers = [parse(text, "text") for text in texts]
    return [{name: getattr(a, name) for name in SCHEMA.names} for a in answers]


def forms(texts: list[str | None]) -> dict[str, pa.Array | pa.ChunkedArray]:
    """One column in every form that Arrow has for it."""
    plain = pa.array(texts, pa.string())
    padded = pa.array(["CC BY-ND 2.0", *texts, "CC BY-ND 2.0"], pa.string())
    half = len(texts) // 2
    doubled = pa.DictionaryArray.from_arrays(  # every value twice in its dictionary, and a null
        pa.array([n if n % 2 else n + len(texts) for n in range(len(texts))], pa.int64()),
        pa.array(texts + texts, pa.string()),
    )
    return {
        "plain": plain,
        "large": plain.cast(pa.large_string()),
        "view": plain.cast(pa.string_view()),
        "binary": plain.cast(pa.binary()),
        "large binary": plain.cast(pa.large_binary()),
        "sliced": padded.slice(1, len(texts)),
        "chunked": pa.chunked_array([plain[:half], plain[:0], plain[half:]], pa.string()),
        "dictionary": plain.dictionary_encode(),
        "dictionary, sliced": padded.dictionary_encode().slice(1, len(texts)),
        "dictionary, chunked": pa.chunked_array(
            [plain[:half].dictionary_encode(), plain[half:].dictionary_encode()]
        ),
        "dictionary with repeats": doubled,
        "dictionary of bytes": plain.cast(pa.binary()).dictionary_encode(),
        "small indices": plain.dictionary_encode().cast(pa.dictionary(pa.uint8(), pa.string())),
        "run ends": pc.run_end_encode(plain),
    }


@pytest.mark.parametrize("form", forms(TEXTS))
def test_every_form_of_a_column_answers_as_its_values_do(form: str) -> None:
    table = parse_column(forms(TEXTS)[form], "text")
    assert table.schema == SCHEMA
    assert table.to_pylist() == expected(TEXTS)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*TEXTS, "x", "y"]), max_size=40), st.integers(1, 7))
def test_any_column_in_any_form_and_any_piece_length(texts: list[str | None], rows: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(codes_module, "_PIECE_ROWS", rows)
        patch.setattr(codes_module, "_PIECES", 100)
        for form, values in forms(texts).items():
            if texts or form != "run ends":
                assert rows_of(values) == expected(texts), form


def test_a_long_column_is_put_together_from_threads_in_order() -> None:
    texts = [f"CC BY {n % 9}.0" for n in range(1000)]
    places = np.random.default_rng(0).integers(0, 1000, 1_200_000)
    long = pa.array(texts).take(pa.array(places))
    ids = [parse(text, "text").id for text in texts]
    found = parse_column(long, "text")["id"].cast(pa.string())
    assert found.combine_chunks().equals(pa.array(ids).take(pa.array(places)))


def test_dictionaries_hold_no_value_twice_so_groups_are_groups() -> None:
    texts = ["CC BY 4.0", "CC-BY-4.0", "Creative Commons Attribution 4.0", "cc by 4.0", None] * 3
    table = parse_column(pa.array(texts), "text")
    for column in table.columns:
        values = column.chunk(0).dictionary.to_pylist()
        assert len(values) == len(set(values))
    counted = table.group_by("id").aggregate([([], "count_all")]).to_pylist()
    assert sorted((row["count_all"], row["id"]) for row in counted) == [
        (3, None), (12, "CC-BY-4.0"),
    ]  # fmt: skip
    assert table["id"].unique().to_pylist() == ["CC-BY-4.0", None]


def test_tables_of_different_columns_can_be_put_together() -> None:
    first, second = (parse_column(pa.array([t]), "text") for t in ("CC BY 4.0", "CC0"))
    both = pa.concat_tables([first, second]).unify_dictionaries()
    assert both["id"].to_pylist() == ["CC-BY-4.0", "CC0-1.0"]
    assert both["reason"].to_pylist() == ["identifier", "identifier"]


def test_a_slice_of_something_large_reads_only_its_own_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import curate.license.column as column

    seen: list[object] = []
    monkeypatch.setattr(column, "parse", lambda text, kind: seen.append(text) or parse(text, kind))
    large = pa.array([f"text {n}" for n in range(5000)]).dictionary_encode()
    assert len(parse_column(large.slice(17, 3), "text")) == 3
    assert seen == ["text 17", "text 18", "text 19", None]


def test_chunks_that_share_a_dictionary_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import curate.license.column as column

    seen: list[object] = []
    monkeypatch.setattr(column, "parse", lambda text, kind: seen.append(text) or parse(text, kind))
    one = pa.array(["CC BY 4.0", "CC0"] * 20).dictionary_encode()
    apart = pa.array(["CC0", "CC BY 4.0"] * 20).dictionary_encode()
    parse_column(pa.chunked_array([one, one.slice(3), apart]), "text")
    assert seen == ["CC BY 4.0", "CC0", None]


def test_what_is_no_text_and_what_is_no_utf8() -> None:
    bad = pa.array([b"CC BY 4.0", b"\xff\xfe", None])
    as_text = pa.StringArray.from_buffers(3, *bad.buffers()[1:], bad.buffers()[0], 1)
    for column in (
        bad,
        as_text,
        as_text.dictionary_encode(),
        pa.array([b"CC BY 4.0", b"\xff\xfe"]),
    ):
        reasons = [row["reason"] for row in rows_of(column)]
        assert reasons == ["identifier", "not_text", "empty"][: len(column)]
    assert [row["id"] for row in rows_of(pa.array([4, 8, None]), "flickr_id")] == [
        "CC-BY-2.0", "PD-US-GOV", None,
    ]  # fmt: skip
    assert {row["reason"] for row in rows_of(pa.array([4.0, float("nan")]), "flickr_id")} == {
        "not_text"
    }
    assert {row["reason"] for row in rows_of(pa.nulls(2))} == {"empty"}
    for nested in (pa.array([["CC0"]]), pa.array([{"a": "CC0"}])):
        with pytest.raises(TypeError, match="no single value"):
            parse_column(nested, "text")


def test_no_rows() -> None:
    for column in (pa.array([], pa.string()), pa.chunked_array([], pa.string()), pa.nulls(0),
                   pa.array([], pa.string()).dictionary_encode()):  # fmt: skip
        table = parse_column(column, "text")
        assert (len(table), table.schema) == (0, SCHEMA)


def test_the_answers_themselves_are_at_hand() -> None:
    answers = read_column(pa.array(TEXTS), "text")
    assert [answers.distinct[row] for row in answers.rows] == EXPECTED
    assert answers.table()["matched"].to_pylist() == [a.matched for a in EXPECTED]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 5), max_size=50))
def test_factorize_gives_places_in_order_of_appearance(numbers: list[int]) -> None:
    places, distinct = factorize(np.asarray(numbers, np.int64))
    assert distinct.tolist() == list(dict.fromkeys(numbers))
    assert distinct[places].tolist() == numbers
    assert encode(pa.array(numbers, pa.int64())).distinct.to_pylist() == distinct.tolist()


CLAIM = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["text", "url", "", None]),
        "value": st.sampled_from(["CC BY 4.0", "CC0", "CC BY-NC 4.0", "x", None]),
        "level": st.sampled_from([0, 3, 5, None]),
    }
)


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.none() | st.lists(st.none() | CLAIM, max_size=4), max_size=12), st.integers(0, 12)
)
def test_judging_a_column_is_resolving_each_row(
    rows: list[list[dict[str, object] | None] | None], cut: int
) -> None:
    column = pa.array(rows, c.CLAIMS.type)
    padded = pa.array(
        [[{"kind": "text", "value": "CC BY-SA 2.0", "level": 5}], *rows], c.CLAIMS.type
    )
    for form in (column, pa.chunked_array([column[:cut], column[cut:]]), padded.slice(1)):
        judged = judge(form)
        assert [judged.decisions[row] for row in judged.rows] == [_resolved(row) for row in rows]


def _resolved(row: list[dict[str, object] | None] | None) -> object:
    """One object a distinct claim, so that a claim does not corroborate itself."""
    same: dict[Claim, Claim] = {}
    claims = [_claim(given_claim or {}) for given_claim in row or []]
    return resolve(same.setdefault(claim, claim) for claim in claims)


def _claim(values: dict[str, object]) -> Claim:
    value = values.get("value")
    return Claim(
        kind=str(values.get("kind") or ""),
        value=None if value is None else str(value),
        level=int(str(values.get("level") or 0)),
    )
