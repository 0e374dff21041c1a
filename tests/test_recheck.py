"""`recheck`: what drifted since a dataset was made, against loopback servers; nothing is changed."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from loopback import HOST, PICTURE, Server, serve

from curate.demo import server as demo_server
from curate.errors import RecipeError, StoreError
from curate.fetch.outcome import FetchSettings
from curate.license.reservations import SIGNALS
from curate.provenance import recheck_log as log
from curate.provenance.audit import audit
from curate.provenance.explain import explain
from curate.provenance.recheck import RecheckResult, later_findings, recheck
from curate.provenance.recheck_ask import ask_again
from curate.provenance.recheck_log import Finding
from curate.provenance.recheck_rows import Row, _shares, kept_rows
from curate.provenance.request import Selectors
from curate.provenance.takedown import remove
from curate.provenance.verify_removal import verify_removal
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles

CC = "https://creativecommons.org/licenses"
HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}


def page(license_url: str) -> bytes:
    return f'<!doctype html><a rel="license" href="{license_url}">licence</a>'.encode()


# --- a dataset ------------------------------------------------------------------------------------
def hashes(root: Path) -> dict[str, str]:
    """Digest by path of every file but those of the log."""
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*")) if path.is_file() and log.FOLDER not in path.parts
    }  # fmt: skip


@pytest.fixture
def at_home(demo_dataset: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The demo's own server, unchanged."""
    with demo_server.serve(demo_dataset / "corpus") as address:
        monkeypatch.setenv("CURATE_CONNECT_TO", json.dumps({HOST: f"127.0.0.1:{address.port}"}))
        yield


def test_without_a_change_there_is_no_drift(demo_copy: Path, at_home: None) -> None:
    before = hashes(demo_copy)
    result = recheck(demo_copy, sample=10_000)
    dataset = Dataset.open(demo_copy)
    assert not result.drifted, result.to_text()
    assert result.kept == result.sampled == dataset.manifest.counts.kept
    pictures = [finding for finding in result.findings if finding.what == "picture"]
    assert len(pictures) == result.kept and {f.kind for f in pictures} == {"same"}
    assert all(f.sha256 and f.status == 200 and f.at for f in pictures)
    pages = Counter(f.kind for f in result.findings if f.what == "landing page")
    assert pages["same"] > 50 and set(pages) <= {"same", "not_compared"}
    assert "no drift" in result.to_text()
    assert hashes(demo_copy) == before
    assert audit(demo_copy, hashes=True).ok
    assert not [note for note in audit(demo_copy).notes if log.FOLDER in note]


@pytest.fixture
def elsewhere(
    demo_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Server, list[Row]]]:
    """Eight sampled rows, and a server on which everything is as it was until a test changes it."""
    rows, _ = kept_rows(Dataset.open(demo_dataset), sample=8, seed=3)
    pictures = demo_dataset / "corpus"
    with serve() as server:
        monkeypatch.setenv("CURATE_CONNECT_TO", json.dumps({HOST: server.here}))
        for row in rows:
            path = (row.url or "").removeprefix(f"http://{HOST}")
            server.files[path] = ("200 OK", (pictures / path.lstrip("/")).read_bytes(), {})
            if row.landing_url:
                server.files[landing(row)] = ("200 OK", b"<p>a picture</p>", HTML)
        yield server, rows


def landing(row: Row) -> str:
    return (row.landing_url or "").removeprefix(f"http://{HOST}")


def picture(row: Row) -> str:
    return (row.url or "").removeprefix(f"http://{HOST}")


def test_each_drift_is_told_and_the_dataset_stays(
    demo_copy: Path, elsewhere: tuple[Server, list[Row]]
) -> None:
    server, rows = elsewhere
    gone, other, noai, broken, field, closed, *_ = rows
    paged = next(row for row in rows[5:] if row.landing_url and row.license != "CC-BY-NC-4.0")
    server.files[picture(gone)] = ("404 Not Found", b"", {})
    server.files[picture(other)] = ("200 OK", PICTURE, {})
    server.files[picture(noai)] = ("200 OK", PICTURE, {"X-Robots-Tag": "noai"})
    server.files[picture(broken)] = ("500 Oops", b"", {})
    server.files[picture(field)] = ("200 OK", PICTURE, {"tdm-reservation": "1"})
    server.files["/robots.txt"] = (
        "200 OK", f"User-agent: *\nDisallow: {picture(closed)}\n".encode(), {},
    )  # fmt: skip
    server.files[landing(paged)] = ("200 OK", page(f"{CC}/by-nc/4.0/"), HTML)
    before = hashes(demo_copy)
    result = recheck(demo_copy, sample=8, seed=3)
    found = {(finding.key, finding.what): finding for finding in result.findings}
    assert found[gone.key, "picture"].kind == "gone"
    changed = found[other.key, "picture"]
    assert (changed.kind, changed.old) == ("changed_bytes", other.original_sha256)
    assert changed.new == hashlib.sha256(PICTURE).hexdigest()
    for row, reason in ((noai, "x-robots-tag"), (field, "tdm-reservation"), (closed, "robots_txt")):
        told = found[row.key, "picture"]
        assert (told.kind, told.new) == ("newly_reserved", f"reservation:{reason}")
    silent = found[broken.key, "picture"]
    assert (silent.kind, silent.drifted) == ("unreachable", False)
    relicensed = found[paged.key, "landing page"]
    assert relicensed.kind == "relicensed"
    assert (relicensed.old, relicensed.new) == (paged.license, "CC-BY-NC-4.0")
    assert result.drifted and result.counts["newly_reserved"] == 3
    assert f"relicensed: {paged.license} → CC-BY-NC-4.0" in result.to_text()
    assert hashes(demo_copy) == before
    later = later_findings(Dataset.open(demo_copy), paged.key)
    assert relicensed in later and {f.key for f in later} == {paged.key}
    assert json.loads(result.to_json())["drifted"] is True


def test_a_removal_reaches_the_rechecks(demo_copy: Path, at_home: None) -> None:
    result = recheck(demo_copy, sample=5)
    recheck(demo_copy, sample=3)
    key = result.findings[0].key
    remove(demo_copy, selectors=Selectors(keys=(key,)), reason="asked", write_pages=lambda _: None)
    told = [path.read_text() for path in (demo_copy / log.FOLDER).iterdir()]
    assert len(told) == 2 and not any(key in text for text in told)
    assert not [hit for hit in verify_removal(demo_copy).hits if log.FOLDER in str(hit)]
    assert not list(log.problems(LocalFiles(demo_copy)))


def test_a_row_s_story_tells_what_was_seen_later_and_the_audit_holds_it_to_that(
    demo_copy: Path, at_home: None
) -> None:
    result = recheck(demo_copy, sample=2)
    told = explain(demo_copy, result.findings[0].key).to_text()
    assert "seen later, by rechecks" in told and "picture same" in told
    assert audit(demo_copy).ok
    file = demo_copy / result.file
    file.write_text(file.read_text().replace('"same"', '"gone"', 1))
    assert any(result.file in problem for problem in audit(demo_copy).problems)
    assert "cannot be read" in explain(demo_copy, result.findings[0].key).to_text()


def test_an_outage_is_no_drift(
    demo_copy: Path, elsewhere: tuple[Server, list[Row]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = elsewhere
    server.files["/robots.txt"] = ("503 Later", b"", {})
    result = recheck(demo_copy, sample=3, seed=3)
    assert {f.kind for f in result.findings} == {"unreachable"}
    assert not result.drifted


def test_a_sample_is_drawn_by_its_seed_in_proportion(demo_dataset: Path) -> None:
    dataset = Dataset.open(demo_dataset)
    rows, kept = kept_rows(dataset, sample=20, seed=1)
    assert rows == kept_rows(dataset, sample=20, seed=1)[0]
    assert len(rows) == 20 < kept
    assert {r.key for r in rows} != {r.key for r in kept_rows(dataset, sample=20, seed=2)[0]}
    everything, _ = kept_rows(dataset, sample=kept, seed=1)
    assert len(everything) == kept == len({row.key for row in everything})
    strata = {row.license for row in everything}
    assert {row.license for row in kept_rows(dataset, sample=len(strata), seed=5)[0]} == strata


def test_shares_add_up() -> None:
    counts = {("a", "x"): 90, ("a", "y"): 9, ("b", "x"): 1}
    for sample in range(1, 105):
        shares = _shares(counts, sample)
        assert sum(shares.values()) == min(sample, 100)
        assert all(0 <= shares[stratum] <= counts[stratum] for stratum in counts)
    assert _shares(counts, 10) == {("a", "x"): 7, ("a", "y"): 2, ("b", "x"): 1}


def test_who_asks_must_be_known(demo_copy: Path) -> None:
    with pytest.raises(RecipeError, match="1 or more"):
        recheck(demo_copy, sample=0)


def test_files_that_were_not_downloaded_need_somebody_who_asks(tmp_path: Path) -> None:
    from provenance_dataset import build

    out = build(tmp_path)
    with pytest.raises(RecipeError, match="--contact"):
        recheck(out, sample=3)
    result = recheck(out, sample=3, contact="me@curate.example")  # its pages are on no network
    assert {(f.what, f.kind) for f in result.findings} <= {("landing page", "unreachable")}


# --- one claim ------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with serve() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    running.files.clear()
    running.asked.clear()
    return running


def ask(server: Server, row: Row, **changes: Any) -> list[Finding]:
    settings = FetchSettings(
        user_agent="curate/0 (+me)", robots_names=("curate",), retries=0, timeout_seconds=2.0,
        honour_reservations=tuple(SIGNALS), allow_private_hosts=frozenset({HOST}),
        connect_to={HOST: server.here}, **changes,
    )  # fmt: skip
    return ask_again([row], settings)


ROW = Row(
    key="k", source="s", source_id="7", url=None, landing_url=None, license="CC-BY-4.0",
    original_sha256=None, claims=(),
)  # fmt: skip


def with_claim(kind: str, value: str, **more: Any) -> Row:
    claim = {
        "kind": kind, "value": value, "level": 5, "claimed_by": "x", "retrieved_at": None,
        "locator": f"http://{HOST}/claim", "http_status": 200, "final_url": f"http://{HOST}/claim",
        "response_sha256": None,
    }  # fmt: skip
    return replace(ROW, claims=(claim | more,))


def openverse(license: str, version: str, id: str = "7") -> dict[str, str]:
    url = f"{CC}/{license}/{version}/"
    return {"id": id, "license": license, "license_version": version, "license_url": url}


@pytest.mark.parametrize(
    ("answer", "kind", "new"),
    [
        (openverse("by", "4.0"), "same", None),
        (openverse("by-nc", "4.0"), "relicensed", "CC-BY-NC-4.0"),
        (openverse("by", "4.0", id="8"), "gone", None),
        ({"results": [openverse("by", "2.0", id="8"), openverse("by", "4.0")]}, "same", None),
        ({"detail": "gone"}, "gone", None),
    ],
)
def test_an_interface_is_read_again(
    server: Server, answer: dict[str, Any], kind: str, new: str | None
) -> None:
    value = {k: v for k, v in openverse("by", "4.0").items() if k != "id"}
    row = with_claim("openverse_pair", json.dumps(value))
    server.files["/claim"] = ("200 OK", json.dumps(answer).encode(), JSON)
    server.files["/robots.txt"] = ("200 OK", b"User-agent: *\nDisallow: /\n", {})  # not for this
    (found,) = ask(server, row)
    assert (found.kind, found.new) == (kind, new)


def test_wikimedia_is_read_again(server: Server) -> None:
    def answer(name: str, url: str) -> bytes:
        said = {"LicenseShortName": {"value": name}, "LicenseUrl": {"value": url},
                "UsageTerms": {"value": name}, "License": {"value": name.lower()}}  # fmt: skip
        entry = {"pageid": 7, "imageinfo": [{"extmetadata": said}]}
        return json.dumps({"query": {"pages": [entry]}}).encode()

    from curate.sources.wikimedia import claim_from_response

    value = claim_from_response(answer("CC BY 4.0", f"{CC}/by/4.0"), "7")
    row = with_claim("wikimedia", value or "")
    server.files["/claim"] = ("200 OK", answer("CC BY 4.0", f"{CC}/by/4.0"), JSON)
    assert ask(server, row)[0].kind == "same"
    server.files["/claim"] = ("200 OK", answer("CC BY-SA 4.0", f"{CC}/by-sa/4.0"), JSON)
    (found,) = ask(server, row)
    assert (found.kind, found.old, found.new) == ("relicensed", "CC-BY-4.0", "CC-BY-SA-4.0")


def test_a_page_that_held_the_claim_is_read_again(server: Server) -> None:
    row = with_claim("html", page(f"{CC}/by/4.0/").decode())
    server.files["/claim"] = ("200 OK", page(f"{CC}/by/4.0/"), HTML)
    assert ask(server, row)[0].kind == "same"
    server.files["/claim"] = ("200 OK", page(f"{CC}/by-nd/4.0/"), HTML)
    assert ask(server, row)[0].new == "CC-BY-ND-4.0"


BY = page(f"{CC}/by/4.0/")
OTHER_WORDS = [
    (b"<p>&copy; 2026 Joe. All rights reserved.</p>", "relicensed", "relicensed"),
    (b"<p>This picture is not licensed under CC BY 4.0.</p>", "relicensed", "relicensed"),
    (BY + b"<footer>All rights reserved</footer>", "relicensed", "relicensed"),
    (BY + page(f"{CC}/by-nc/4.0/"), "relicensed", "relicensed"),
    (b"<a rel=license href=https://pictures.example/terms>terms</a>", "relicensed", "relicensed"),
    (b"<p>Licence: CC BY</p>", "relicensed", "not_compared"),
    (b"<p>a red circle</p>", "changed_evidence", "not_compared"),
    (b"", "changed_evidence", "not_compared"),
]  # as the page that a claim points to, as a landing page that never was the evidence


@pytest.mark.parametrize(("body", "pointed_to", "beside"), OTHER_WORDS)
@pytest.mark.parametrize("kind", ["html", "url"])
def test_a_page_that_grants_nothing_any_more_is_drift(
    server: Server, body: bytes, pointed_to: log.Kind, beside: log.Kind, kind: str
) -> None:
    claimed = BY.decode() if kind == "html" else f"{CC}/by/4.0/"
    server.files["/claim"] = ("200 OK", body, HTML)
    (found,) = ask(server, with_claim(kind, claimed))
    assert (found.kind, found.old) == (pointed_to, "CC-BY-4.0")
    assert found.drifted and found.note and found.note in str(found)
    (found,) = ask(server, replace(ROW, landing_url=f"http://{HOST}/claim"))
    assert found.kind == beside
    row = with_claim(kind, claimed, locator="dump.parquet#7")  # its response was this page
    (_, found) = ask(server, replace(row, landing_url=f"http://{HOST}/claim"))
    assert (found.what, found.kind) == ("landing page", pointed_to)


@pytest.mark.parametrize("body", [body for body, *_ in OTHER_WORDS])
def test_a_page_whose_bytes_are_those_of_then_is_no_news(server: Server, body: bytes) -> None:
    sha256 = hashlib.sha256(body).hexdigest()
    server.files["/claim"] = ("200 OK", body, HTML)
    assert ask(server, with_claim("url", f"{CC}/by/4.0/", response_sha256=sha256))[0].kind == "same"
    look = {"url": f"http://{HOST}/claim", "answer": "", "status": 200, "sha256": sha256}
    row = replace(ROW, landing_url=f"http://{HOST}/claim", reservations=json.dumps([look]))
    assert ask(server, row)[0].kind == "same"
    server.files["/claim"] = ("200 OK", b"<p>All rights reserved</p>", HTML)
    assert ask(server, row)[0].kind == "relicensed"


def test_a_claim_that_was_no_grant_cannot_be_withdrawn(server: Server) -> None:
    server.files["/claim"] = ("200 OK", b"<p>All rights reserved</p>", HTML)
    assert ask(server, with_claim("url", "https://pictures.example/"))[0].kind == "not_compared"


@pytest.mark.parametrize(
    ("sha256", "kind"),
    [(None, "not_compared"), (hashlib.sha256(b"{}").hexdigest(), "same"),
     ("0" * 64, "changed_evidence")],
)  # fmt: skip
def test_a_response_nobody_reads_is_compared_by_its_hash(
    server: Server, sha256: str | None, kind: str
) -> None:
    server.files["/claim"] = ("200 OK", b"{}", JSON)
    row = with_claim("flickr_id", "4", response_sha256=sha256)
    assert ask(server, row)[0].kind == kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [("404 Not Found", "gone"), ("410 Gone", "gone"), ("403 No", "unreachable"),
     ("500 Oops", "unreachable"), ("429 Later", "unreachable")],
)  # fmt: skip
def test_a_response_that_does_not_come(server: Server, status: str, kind: str) -> None:
    server.files["/claim"] = (status, b"", {})
    assert ask(server, with_claim("url", f"{CC}/by/4.0/"))[0].kind == kind


def test_what_is_in_a_file_or_a_dump_is_not_asked(server: Server) -> None:
    row = with_claim("url", f"{CC}/by/4.0/", locator="dump.parquet#license", http_status=None)
    assert ask(server, row) == []
    assert not server.asked


def test_a_page_that_may_not_be_asked_is_not(server: Server) -> None:
    server.files["/robots.txt"] = ("200 OK", b"User-agent: *\nDisallow: /photo\n", {})
    (found,) = ask(server, replace(ROW, landing_url=f"http://{HOST}/photo"))
    assert found.kind == "unreachable" and "Disallow: /photo" in (found.note or "")
    assert not server.asked["/photo"]


def test_the_version_of_what_was_taken_without_one_is_no_news(server: Server) -> None:
    server.files["/photo"] = ("200 OK", page(f"{CC}/by/2.0/"), HTML)
    row = replace(ROW, license="CC-BY", landing_url=f"http://{HOST}/photo")
    assert ask(server, row)[0].kind == "same"


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"<meta name=robots content=noai>", {}), (b"<meta name=tdm-reservation content=1>", {}),
     (b"<p>", {"X-Robots-Tag": "noai"}), (b"<p>", {"tdm-reservation": "1"})],
)  # fmt: skip
def test_a_page_that_newly_reserves_is_drift_of_a_row_without_address_too(
    server: Server, body: bytes, headers: dict[str, str]
) -> None:
    row = replace(ROW, landing_url=f"http://{HOST}/photo")
    server.files["/photo"] = ("200 OK", body + BY, HTML | headers)
    (found,) = ask(server, row, landing_pages="look")
    assert (found.kind, found.new) == ("newly_reserved", "reservation:landing_page")
    (found,) = ask(server, row, landing_pages="skip")
    assert (found.kind, found.drifted) == ("same", False)
    assert "the recipe skips landing pages" in (found.note or "")
    server.files["/photo"] = ("200 OK", body + page(f"{CC}/by-nc/4.0/"), HTML | headers)
    kinds = [found.kind for found in ask(server, row, landing_pages="look")]
    assert kinds == ["newly_reserved", "relicensed"]


def test_a_reservation_the_recipe_skips_is_a_note(server: Server) -> None:
    body = b"<meta name=robots content=noai>" + page(f"{CC}/by/4.0/")
    server.files["/photo"] = ("200 OK", body, HTML)
    row = replace(ROW, landing_url=f"http://{HOST}/photo", url=f"http://{HOST}/picture")
    pictures, pages = ask(server, row)
    assert (pictures.kind, pages.kind) == ("not_compared", "same")
    assert "noai" in (pages.note or "")
    pictures, _ = ask(server, row, landing_pages="look")
    assert (pictures.kind, pictures.new) == ("newly_reserved", "reservation:landing_page")


# --- the log --------------------------------------------------------------------------------------
def told(second: int) -> dict[str, Any]:
    return {"time": f"2026-01-01T00:00:0{second}.123+00:00", "sampled": 2}


def finding(key: str, kind: log.Kind = "gone") -> Finding:
    return Finding(key=key, what="picture", kind=kind, url=f"http://{HOST}/{key}")


def test_the_log_is_chained_and_can_forget(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    names = [log.write(files, told(n), [finding("a"), finding("b", "same")]) for n in (1, 1, 2)]
    assert names == [f"rechecks/20260101T00000{n}.json" for n in ("1Z", "1Z-1", "2Z")]
    assert list(log.problems(files)) == []
    assert log.read(files, "a") == [finding("a")] * 3
    assert log.forget(files, {"a"}) == 3
    assert log.read(files, "a") == [] and log.read(files, "b") == [finding("b", "same")] * 3
    assert not any(b'"a"' in (tmp_path / name).read_bytes() for name in names)
    assert list(log.problems(files)) == []
    assert log.forget(files, {"a"}) == 0
    (tmp_path / names[1]).write_text("half a file")
    assert log.forget(files, {"a"}) == 0
    assert not (tmp_path / names[1]).exists() and list(log.problems(files)) == []


def test_a_changed_or_missing_recheck_shows(tmp_path: Path) -> None:
    files = LocalFiles(tmp_path)
    names = [log.write(files, told(n), [finding("a")]) for n in (1, 2, 3)]
    (tmp_path / names[1]).unlink()
    assert "missing" in "".join(log.problems(files))
    text = (tmp_path / names[0]).read_text()
    (tmp_path / names[0]).write_text(text.replace("gone", "same"))
    assert "changed" in "".join(log.problems(files))
    with pytest.raises(StoreError, match="digest"):
        log.read(files, "a")


def test_a_result_says_how_much_was_left_out() -> None:
    findings = tuple(finding(f"{n:04}") for n in range(60))
    result = RecheckResult(
        time="t", dataset_digest="d", kept=90, sampled=70, unasked=10, seed=0, honoured=("noai",),
        landing_pages="skip", findings=findings, file="rechecks/t.json",
    )  # fmt: skip
    text = result.to_text()
    assert "60 of 70 sampled rows drifted" in text
    assert "10 more in rechecks/t.json" in text and "10 rows have no address" in text
