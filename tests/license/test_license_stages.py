"""The stages over tables: what lives, what is marked, and with which text."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from curate import columns as c
from curate.license.column import group_column, judge
from curate.stage import apply
from curate.stages.license import LicenseStage
from curate.stages.opt_out import OptOut

CC = "https://creativecommons.org/licenses"
ROWS: list[tuple[list[dict[str, Any]] | None, str | None, str | None]] = [
    # claims, licence, reason (policy sharealike)
    ([{"kind": "url", "value": f"{CC}/by/4.0/", "level": 5}], "CC-BY-4.0", None),
    ([{"kind": "url", "value": f"{CC}/by-sa/3.0/de/", "level": 3}], "CC-BY-SA-3.0-DE", None),
    ([{"kind": "url", "value": f"{CC}/by/4.0/", "level": 2}], "CC-BY-4.0", "license:evidence"),
    ([{"kind": "url", "value": f"{CC}/by-nc/4.0/", "level": 5}], "CC-BY-NC-4.0", "license:policy"),
    ([{"kind": "url", "value": f"{CC}/by-nd/4.0/", "level": 5}], "CC-BY-ND-4.0", "license:policy"),
    ([{"kind": "text", "value": "CC BY", "level": 5}], None, "license:ambiguous"),
    ([{"kind": "text", "value": "hello", "level": 5}], None, "license:unknown"),
    ([{"kind": "text", "value": "", "level": 5}], None, "license:none"),
    ([{"kind": "text", "value": None, "level": None}], None, "license:none"),
    ([], None, "license:none"),
    (None, None, "license:none"),
    ([None], None, "license:none"),
    ([{"kind": "url", "value": f"{CC}/by/4.0/", "level": 5},
      {"kind": "text", "value": "CC BY-NC 4.0", "level": 3}], None, "license:conflict"),
    ([{"kind": "text", "value": "CC BY 4.0", "level": 3},
      {"kind": "url", "value": f"{CC}/by/4.0/", "level": 5}], "CC-BY-4.0", None),
    ([{"kind": "declaration", "value": "CC0-1.0", "level": 0}], "CC0-1.0", None),
    ([{"kind": "text", "value": "x" * 10_000_000, "level": 5}], None, "license:unknown"),
]  # fmt: skip


def table() -> pa.Table:
    claims = pa.array([row[0] for row in ROWS], c.CLAIMS.type)
    keys = [f"{number:02}" for number in range(len(ROWS))]
    return pa.table([pa.array(keys), claims], schema=pa.schema([c.KEY, c.CLAIMS]))


def test_each_row_is_judged_by_its_claims() -> None:
    done = apply(LicenseStage(policy="sharealike"), table())
    assert done["license"].to_pylist() == [row[1] for row in ROWS]
    assert done["reason"].to_pylist() == [row[2] for row in ROWS]
    rows = done.to_pylist()
    assert [row["verdict"] for row in rows] == ["rejected" if r[2] else None for r in ROWS]
    assert rows[3]["measured_text"] == f"{CC}/by-nc/4.0/"
    assert rows[5]["measured_text"] == "CC BY"
    assert len(rows[15]["measured_text"]) == 1000
    assert rows[0]["measured_text"] is None
    assert (rows[0]["license_basis"], rows[0]["evidence_level"]) == ("url", 5)
    assert rows[13]["license_basis"] == "url;corroborated"
    assert (rows[14]["license_basis"], rows[14]["evidence_level"]) == ("declared", 0)
    assert rows[1]["license_expression"] == "CC-BY-SA-3.0-DE"
    assert rows[0]["license_matched"] == f"{CC}/by/4.0/"


def test_groups_before_the_stage_are_the_groups_after_it() -> None:
    stage = LicenseStage(policy="sharealike", versionless=("CC-BY",))
    groups = group_column(table())
    assert groups.equals(stage.groups(table()))
    assert apply(stage, table())["license_group"].combine_chunks().equals(groups)
    assert groups.to_pylist()[:6] == ["open", "sharealike", "open", "noncommercial",
                                      "noncommercial", "open"]  # fmt: skip


def test_a_family_accepted_by_name_keeps_its_status() -> None:
    stage = LicenseStage(policy="attribution", versionless=("CC-BY",), evidence_at_least="L1")
    row = apply(stage, table()).slice(5, 1).to_pylist()[0]
    assert (row["verdict"], row["license"]) == (None, "CC-BY")
    assert (row["license_expression"], row["license_basis"]) == ("LicenseRef-CC-BY", "versionless")


def test_each_distinct_set_of_claims_is_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import curate.license.column as column

    calls = []
    resolve = column.resolve
    monkeypatch.setattr(column, "resolve", lambda claims: calls.append(1) or resolve(claims))
    once = table()
    many = pa.concat_tables([once] * 50)
    judged = judge(many["claims"])
    assert len(calls) <= len(ROWS)
    assert (judged.rows.reshape(50, -1) == judge(once["claims"]).rows).all()


def test_who_claimed_where_and_when_does_not_split_the_judging() -> None:
    claim = {"kind": "text", "value": "CC0", "level": 5}
    rows = [[claim | {"locator": f"row {n}", "retrieved_at": f"2024-{n}"}] for n in range(9)]
    judged = judge(
        pa.chunked_array([pa.array(rows[:4], c.CLAIMS.type), pa.array(rows[4:], c.CLAIMS.type)])
    )
    assert len(judged.decisions) == 2
    assert set(judged.rows.tolist()) == {1}


def test_slices_and_empty_tables() -> None:
    stage = LicenseStage(policy="sharealike")
    whole = apply(stage, table())
    for start in range(0, len(ROWS), 3):
        part = apply(stage, table().slice(start, 3))
        assert part.to_pylist() == whole.slice(start, 3).to_pylist()
    assert len(apply(stage, table().slice(0, 0))) == 0


def test_settings_are_checked_and_travel() -> None:
    stage = LicenseStage(policy=["CC0-1.0", "CC-BY-4.0"], evidence_at_least="L1")  # type: ignore[arg-type]
    assert LicenseStage.model_validate(json.loads(stage.model_dump_json())) == stage
    assert pickle.loads(pickle.dumps(stage)) == stage
    assert stage.identity()["rules"]
    assert stage.identity() != LicenseStage(policy="attribution").identity()
    for wrong in ({"policy": "free"}, {"policy": ["CC-BY-ND-4.0"]}, {"policy": "attribution", "versionless": ["CC-BY-NC"]},
                  {"policy": "attribution", "evidence_at_least": "L7"}, {}):  # fmt: skip
        with pytest.raises(ValidationError):
            LicenseStage(**wrong)


# --- opt-out -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "reason", "entry"),
    [
        ("https://example.org/1.jpg", "reservation:domain", "example.org"),
        ("https://IMAGES.Example.ORG./1.jpg", "reservation:domain", "example.org"),
        ("http://user:pw@example.org:8080/1.jpg", "reservation:domain", "example.org"),
        ("//example.org/1.jpg", "reservation:domain", "example.org"),
        ("https://xn--bcher-kva.example/1.jpg", "reservation:domain", "xn--bcher-kva.example"),
        ("https://bücher.example/1.jpg", "reservation:domain", "xn--bcher-kva.example"),
        ("https://notexample.org/1.jpg", None, None),
        ("https://example.org.evil.com/1.jpg", None, None),
        ("https://evil.com/example.org/1.jpg", None, None),
        ("https://example.org@evil.com/1.jpg", None, None),
        ("https://shared.net/private/1.jpg", "reservation:url", "https://shared.net/private/"),
        ("http://SHARED.net/private/1.jpg", "reservation:url", "https://shared.net/private/"),
        ("https://shared.net/public/1.jpg", None, None),
        ("https://shared.net/Private/1.jpg", None, None),
        ("not an address", None, None),
        ("http://[", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_opt_outs_known_beforehand(url: str | None, reason: str | None, entry: str | None) -> None:
    stage = OptOut(
        domains=("Example.org", "bücher.example"), url_prefixes=("https://shared.net/private/",)
    )
    given = pa.table(
        [pa.array(["k"]), pa.array([url], pa.string())], schema=pa.schema([c.KEY, c.URL])
    )
    row = apply(stage, given).to_pylist()[0]
    assert (row["reason"], row["measured_text"]) == (reason, entry)


def test_without_entries_all_pass_and_bad_entries_are_refused() -> None:
    given = pa.table(
        [pa.array(["k"]), pa.array(["https://a.b/c"])], schema=pa.schema([c.KEY, c.URL])
    )
    assert apply(OptOut(), given)["verdict"].null_count == 1
    for wrong in ({"domains": ["https://a.b/"]}, {"domains": [""]}, {"url_prefixes": ["a.b/c"]}):
        with pytest.raises(ValidationError):
            OptOut(**wrong)  # type: ignore[arg-type]
