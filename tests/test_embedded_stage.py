"""The stage `embedded`: what pictures say of themselves against the licence they were accepted by."""

from __future__ import annotations

import json
import shutil
import struct
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import provenance_dataset
import pyarrow as pa
import pytest
from pictures import file, photoshop, scene, with_segment
from provenance_dataset import CC, Forger, build, key, refused, replaced
from pydantic import ValidationError
from signing import signed, signer

from curate import columns as c
from curate.license.plus import SIGNALS
from curate.provenance.audit import audit
from curate.provenance.licensing import exceptions
from curate.stage import apply
from curate.stages.embedded import Embedded
from curate.stages.inspect import Inspect
from curate.stages.license import LicenseStage

SPACES = (
    "xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#' xmlns:cc='http://creativecommons.org/ns#'"
    " xmlns:plus='http://ns.useplus.org/ldf/xmp/1.0/' xmlns:dc='http://purl.org/dc/elements/1.1/'"
)
PROHIBITED = "plus:DataMining='http://ns.useplus.org/ldf/vocab/DMI-PROHIBITED-AIMLTRAINING'"
LICENSE_COLUMNS = [f.name for f in LicenseStage.produces]


def xmp(attributes: str) -> bytes:
    return f"<rdf:RDF {SPACES}><rdf:Description rdf:about='' {attributes}/></rdf:RDF>".encode()


def says(attributes: str = "", *, exif: str = "") -> bytes:
    """A JPEG with XMP attributes and an EXIF notice."""
    options: dict[str, Any] = {"xmp": xmp(attributes)} if attributes else {}
    if exif:
        text = exif.encode() + b"\0"
        head = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHII", 0x8298, 2, len(text), 26)
        options["exif"] = head + bytes(4) + text
    return file(scene(), **options)


def judged(
    bodies: list[bytes], claims: list[tuple[str, int]], stage: Embedded | None = None
) -> list[dict[str, Any]]:
    """Rows after licence, inspect and embedded; each row has one claim of (value, rung)."""
    table = pa.table(
        [[sha256(str(n).encode()).hexdigest() for n in range(len(bodies))],
         [[{"kind": "url" if "://" in v else "text", "value": v, "level": rung}] for v, rung in claims],
         bodies, [sha256(body).hexdigest() for body in bodies]],
        schema=pa.schema([c.KEY, c.CLAIMS, c.BODY, c.ORIGINAL_SHA256]),
    )  # fmt: skip
    stages = (LicenseStage(policy="noncommercial", evidence_at_least="L1"), Inspect())
    for each in (*stages, stage or Embedded()):
        table = apply(each, table)
    return [dict(row) for row in table.to_pylist()]


def one(
    body: bytes, claim: str = f"{CC}/by/4.0/", rung: int = 5, stage: Embedded | None = None
) -> dict[str, Any]:
    [row] = judged([body], [(claim, rung)], stage)
    return row


@pytest.mark.parametrize(
    ("body", "rung", "agrees", "reason"),
    [
        (says(), 5, "silent", None),
        (says(exif="© 2019 Jane Doe"), 3, "silent", None),
        (says("dc:rights='© Jane Doe 2019'"), 3, "silent", None),
        (says(f"cc:license='{CC}/by/4.0/'"), 5, "corroborates", None),
        (says("dc:rights='CC BY 4.0'", exif="© Jane"), 5, "corroborates", None),
        (says(f"cc:license='{CC}/by/3.0/'"), 5, "other_version", None),
        (says(f"cc:license='{CC}/by/3.0/de/'"), 5, "other_version", None),
        (says("dc:rights='CC BY'"), 5, "other_version", None),
        (says(f"cc:license='{CC}/by/3.0/'"), 4, "contradicts", "license:embedded_conflict"),
        (says(f"cc:license='{CC}/by-nc/4.0/'"), 5, "contradicts", "license:embedded_conflict"),
        (says("dc:rights='CC BY-ND'"), 5, "contradicts", "license:embedded_conflict"),
        (says(exif="CC BY-NC 4.0"), 5, "contradicts", "license:embedded_conflict"),
        (says("dc:rights='CC BY 4.0, non-commercial use only'"), 5, "contradicts",
         "license:embedded_conflict"),
        (says("dc:rights='All rights reserved'"), 5, "reserved_below", None),
        (says("dc:rights='All rights reserved'"), 4, "contradicts", "license:embedded_conflict"),
        (says("dc:rights='All rights reserved'"), 3, "contradicts", "license:embedded_conflict"),
        (says(exif="© Jane. All rights reserved."), 5, "reserved_below", None),
        (says(exif="© Jane. All rights reserved."), 3, "reserved_below", None),
        (says(exif="© Jane. All rights reserved."), 1, "contradicts", "license:embedded_conflict"),
    ],
)  # fmt: skip
def test_how_a_picture_stands_to_its_licence(
    body: bytes, rung: int, agrees: str, reason: str | None
) -> None:
    row = one(body, rung=rung)
    assert (row["embedded_agrees"], row["reason"]) == (agrees, reason)
    plain = one(says(), rung=rung)
    assert [row[n] for n in LICENSE_COLUMNS] == [plain[n] for n in LICENSE_COLUMNS], (
        "what is embedded grants nothing and changes nothing"
    )


def test_a_conflict_tells_both_texts_and_where() -> None:
    row = one(says("dc:rights='CC BY-NC 4.0'"))
    assert row["measured_text"] == (
        f"url says '{CC}/by/4.0/'; the picture (xmp:{{http://purl.org/dc/elements/1.1/}}rights) "
        "says 'CC BY-NC 4.0'"
    )
    terms = f"CC BY-NC 4.0. {'Thank you. ' * 60}"
    long = one(says(f"dc:rights='{terms}'"))
    assert long["reason"] == "license:embedded_conflict" and len(long["measured_text"]) <= 1000
    assert long["embedded_claims"][0]["value"] == terms.strip(), "the raw claim stays whole"


def test_a_claim_says_which_bytes_held_it() -> None:
    body = says(f"cc:license='{CC}/by/4.0/'")
    [claim] = one(body)["embedded_claims"]
    assert claim["response_sha256"] == sha256(body).hexdigest()
    assert (claim["kind"], claim["level"]) == ("cc_license_xmp", 4)
    assert claim["locator"] == "xmp:{http://creativecommons.org/ns#}license"


def test_a_licence_without_version_that_the_recipe_takes_by_name() -> None:
    stages = (
        LicenseStage(policy="attribution", versionless=("CC-BY",)), Inspect(), Embedded(),
    )  # fmt: skip
    for attributes, agrees in (
        ("dc:rights='CC BY 4.0'", "other_version"),
        ("dc:rights='CC BY'", "corroborates"),
        ("dc:rights='CC BY-NC 4.0'", "contradicts"),
        ("dc:rights='CC BY-NC'", "contradicts"),
    ):
        body = says(attributes)
        claims = [{"kind": "text", "value": "CC BY", "level": 5}]
        table = pa.table(
            [["0" * 64], [claims], [body], ["0" * 64]],
            schema=pa.schema([c.KEY, c.CLAIMS, c.BODY, c.ORIGINAL_SHA256]),
        )
        for stage in stages:
            table = apply(stage, table)
        assert table["embedded_agrees"].to_pylist() == [agrees]
        assert (table["reason"].to_pylist() == [None]) == (agrees != "contradicts")


# --- reservations --------------------------------------------------------------------------------
RESERVING = {
    "plus_data_mining": says(PROHIBITED),
    "plus_other_constraints": says("plus:OtherConstraints='Editorial use only'"),
    "mining_terms": says(exif="No AI training"),
    "tdm_reservation": says("xmlns:t='http://www.w3.org/ns/tdmrep/' t:reservation='1'"),
    "xmp_unread": file(scene(), xmp=xmp(PROHIBITED)[:-20]),
}


@pytest.fixture(scope="module")
def reserving() -> dict[str, bytes]:
    by, entries = signer(), {"cawg.ai_training": {"use": "notAllowed"}}
    body = signed(file(scene()), "image/jpeg", entries, by=by)
    damaged = bytearray(body)
    at = damaged.index(b"jumb")
    damaged[at + 12 : at + 60] = bytes(48)
    signatures = {"c2pa_training_mining": body, "c2pa_unread": bytes(damaged)}
    return RESERVING | signatures


def test_every_signal_is_honoured_unless_it_is_left_out(reserving: dict[str, bytes]) -> None:
    assert set(reserving) == set(SIGNALS)
    for signal, body in reserving.items():
        row = one(body)
        assert (row["verdict"], row["reason"]) == ("rejected", f"reservation:{signal}")
        [found] = row["embedded_reservations"]
        assert found["signal"] == signal and found["value"] in row["measured_text"]
        left_out = one(body, stage=Embedded(honour=tuple(set(SIGNALS) - {signal})))
        assert left_out["verdict"] is None
        assert left_out["embedded_reservations"] == [found], "noted all the same"
    assert all(
        one(body, stage=Embedded(honour=()))["verdict"] is None for body in reserving.values()
    )


def test_a_conflict_comes_before_a_reservation_and_both_are_noted() -> None:
    row = one(says(f"dc:rights='CC BY-NC 4.0' {PROHIBITED}"))
    assert row["reason"] == "license:embedded_conflict"
    assert [item["signal"] for item in row["embedded_reservations"]] == ["plus_data_mining"]


def test_a_misspelt_signal_is_refused() -> None:
    with pytest.raises(ValidationError, match="plus_datamining"):
        Embedded(honour=("plus_datamining",))


def test_the_outputs_tell_which_signal_is_ignored() -> None:
    def told(**settings: Any) -> tuple[str, ...]:
        stage = {"kind": "embedded", **settings}
        return exceptions({"passes": [{"layer": "images", "stages": [stage]}]})

    assert told() == told(honour=list(SIGNALS)) == ()
    some = [name for name in SIGNALS if name != "c2pa_unread"]
    [line] = told(honour=some)
    assert line.endswith("honour: without c2pa_unread")


def test_the_fingerprint_knows_who_reads_manifests(monkeypatch: pytest.MonkeyPatch) -> None:
    before = Embedded().identity()
    monkeypatch.setattr("curate.license.c2pa.installed", lambda: None)
    assert Embedded().identity() != before


def test_rows_that_say_nothing_cost_microseconds() -> None:
    count = 2000
    body = file(scene(size=256))
    table = pa.table(
        [[f"{n:064x}" for n in range(count)], [body] * count, ["0" * 64] * count,
         [[{"kind": "url", "value": f"{CC}/by/4.0/", "level": 5}]] * count,
         *[[None] * count for _ in range(3)]],
        schema=pa.schema([c.KEY, c.BODY, c.ORIGINAL_SHA256, c.CLAIMS, c.EMBEDDED_EXIF,
                          c.EMBEDDED_XMP, c.EMBEDDED_IPTC]),
    )  # fmt: skip
    transform = Embedded().open()
    start = time.perf_counter()
    done = apply(Embedded(), table, transform)
    assert (time.perf_counter() - start) / count < 200e-6
    assert done["embedded_agrees"].unique().to_pylist() == ["silent"]


# --- a dataset, and what its audit sees ----------------------------------------------------------
@pytest.fixture(scope="module")
def speaking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small dataset, some of its pictures speaking of themselves."""
    base = tmp_path_factory.mktemp("speaking")
    bodies = {
        17: says(f"cc:license='{CC}/by/4.0/'"),
        18: says("dc:rights='CC BY-NC 4.0'"),
        19: says(PROHIBITED),
        27: with_segment(file(scene(7)), photoshop(b"\x1c\x02\x74\x00\x09CC BY 2.0")),
    }

    rows = provenance_dataset.rows

    def with_metadata(folder: Path) -> list[dict[str, Any]]:
        found = rows(folder)
        for n, body in bodies.items():
            (folder / f"{n}.jpg").write_bytes(body)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance_dataset, "rows", with_metadata)
        return build(base)


@pytest.fixture
def forger(speaking: Path, tmp_path: Path) -> Forger:
    shutil.copytree(speaking, tmp_path / "out")
    return Forger(tmp_path / "out")


def test_the_run_judges_and_the_audit_agrees(speaking: Path) -> None:
    forger = Forger(speaking)
    found = {}
    for part in next(e for e in forger.manifest.layers if e.name == "images").shards:
        for entry in (entry for entry in part.files if entry.role != "observations"):
            for row in forger.table(entry).to_pylist():
                found[row["key"]] = row
    assert found[key(17)]["embedded_agrees"] == "corroborates"
    assert found[key(27)]["embedded_agrees"] == "other_version"
    assert found[key(18)]["reason"] == "license:embedded_conflict"
    assert found[key(18)]["embedded_claims"][0]["value"] == "CC BY-NC 4.0"
    assert found[key(19)]["reason"] == "reservation:plus_data_mining"
    result = audit(speaking)
    assert result.ok, result.problems


def test_an_edited_embedded_claim_is_named(forger: Forger) -> None:
    part, entry = forger.entry("images", "data", key(17))
    row = next(r for r in forger.table(entry).to_pylist() if r["key"] == key(17))
    claims = [row["embedded_claims"][0] | {"value": f"{CC}/by/2.0/"}]
    forger.rewrite(
        "images", part, "data", lambda t: replaced(t, "embedded_claims", key(17), claims)
    )
    forger.publish()
    refused(audit(forger.root), key(17), "embedded_claims")


def test_an_edited_agreement_is_named(forger: Forger) -> None:
    part, _ = forger.entry("images", "data", key(27))
    said = "corroborates"
    forger.rewrite("images", part, "data", lambda t: replaced(t, "embedded_agrees", key(27), said))
    forger.publish()
    refused(audit(forger.root), key(27), "embedded_agrees")


def test_a_hidden_reservation_is_named(forger: Forger) -> None:
    """A block that reserves, slipped into a kept row: its notes no longer follow from it."""
    part, _ = forger.entry("images", "data", key(17))
    packets = [xmp(PROHIBITED)]
    forger.rewrite("images", part, "data", lambda t: replaced(t, "embedded_xmp", key(17), packets))
    forger.publish()
    refused(audit(forger.root), key(17), "embedded_reservations")


def test_a_verdict_that_does_not_follow_is_named(forger: Forger) -> None:
    part, _ = forger.entry("images", "marks", key(18))
    forger.rewrite("images", part, "marks", lambda t: replaced(t, "embedded_claims", key(18), []))
    forger.publish()
    refused(audit(forger.root), key(18))


def test_the_plan_keeps_the_setting(speaking: Path) -> None:
    plan = json.loads((speaking / "plan/PLAN.json").read_text())
    [stage] = [s for s in plan["recipe"]["passes"][0]["stages"] if s["kind"] == "embedded"]
    assert stage["honour"] == sorted(SIGNALS)
