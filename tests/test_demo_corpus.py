"""The demo's corpus, its web server and its scoring: planted truth that can be trusted."""

from __future__ import annotations

import hashlib
import http.client
import io
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from curate import columns as c
from curate import stage
from curate.demo import corpus as demo
from curate.demo import faults, licences, scoring, server
from curate.errors import MissingInput, RecipeError
from curate.license import parse
from curate.sources.demo import Demo
from curate.stages.aspect import Aspect
from curate.stages.duplicates import Duplicates
from curate.stages.inspect import Inspect
from curate.stages.resolution import Resolution

PICTURES = 600
CAPTION_FAULTS = {"caption_random", "caption_colour", "caption_relation"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> demo.Corpus:
    return demo.write_corpus(tmp_path_factory.mktemp("corpus"), pictures=PICTURES, seed=11)


@pytest.fixture(scope="module")
def rows() -> list[demo.Row]:
    return demo.draw_rows(pictures=PICTURES, seed=11)


@pytest.fixture(scope="module")
def truth(corpus: demo.Corpus) -> list[dict]:
    return pq.read_table(corpus.truth).to_pylist()


def files(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*") if path.is_file()
    }  # fmt: skip


# --- the corpus -----------------------------------------------------------------------------------
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first = demo.write_corpus(tmp_path / "a", pictures=120, seed=1)
    again = demo.write_corpus(tmp_path / "b", pictures=120, seed=1)
    other = demo.write_corpus(tmp_path / "c", pictures=120, seed=2)
    assert files(first.directory) == files(again.directory)
    assert files(first.directory)["metadata.parquet"] != files(other.directory)["metadata.parquet"]
    demo.write_corpus(tmp_path / "c", pictures=120, seed=1)  # replaces, leaves nothing behind
    assert files(tmp_path / "c") == files(first.directory)


def test_a_corpus_too_small_for_every_fault_is_refused() -> None:
    with pytest.raises(RecipeError, match="100 or more"):
        demo.draw_rows(pictures=99, seed=0)


def test_the_truth_partitions_the_rows(corpus: demo.Corpus, truth: list[dict]) -> None:
    assert len(truth) == corpus.rows == PICTURES
    assert len({row["key"] for row in truth}) == PICTURES
    planted = Counter(row["fault"] for row in truth)
    assert dict(planted) == {name: n for name, n in corpus.planted.items() if n}
    wanted = faults.counts(PICTURES)
    assert {name: planted[name] for name in faults.FAULTS} == {n: wanted[n] for n in faults.FAULTS}
    assert Counter(row["oddity"] for row in truth if row["oddity"]) == {
        name: wanted[name] for name in faults.ODDITIES
    }
    assert all(row["fault"] == "none" for row in truth if row["oddity"])
    assert 0.72 <= planted["none"] / PICTURES <= 0.8


def test_the_note_at_the_top_tells_the_counts_of_the_demo() -> None:
    counts = faults.counts(2400)
    told = re.sub(r"\s+", " ", demo.__doc__ or "")
    for name, words in {
        "noai": "noai {}", "http_404": "404 {}", "http_500": "500 {}", "timeout": "timeout {}",
        "html_as_jpeg": "HTML {}", "truncated": "truncated {}", "too_small": "small {}",
        "too_long": "long {}", "malformed": "malformed {}", "duplicate_exact": "{} exact",
        "duplicate_near": "{} near", "caption_random": "{} of another picture",
        "caption_colour": "{} with a colour", "caption_relation": "{} with the relation",
        "license_contradiction": "contradictory {}", "license_unknown": "ambiguous {} each",
    }.items():  # fmt: skip
        assert words.format(counts[name]) in told
    faulty = sum(counts[name] for name in faults.FAULTS)
    assert f"{2400 - faulty:,} are good, {sum(counts[n] for n in faults.ODDITIES)} of them" in told


def test_licences_are_spelt_in_many_ways_over_all_classes(corpus: demo.Corpus) -> None:
    table = pq.read_table(corpus.metadata, columns=["license_url", "license_name"])
    spelt = {(row["license_url"], row["license_name"]) for row in table.to_pylist()}
    assert len(spelt) >= 80
    accepted = {(w.url, w.name) for w in licences.ACCEPTED}
    assert len(accepted & spelt) >= 40
    ids = {w.means for wordings in licences.WORDINGS.values() for w in wordings}
    assert {"CC0-1.0", "CC-PDM-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0",
            "CC-BY-ND-4.0", licences.AMBIGUOUS, licences.REJECT} <= ids  # fmt: skip
    assert any(url and name for url, name in spelt)


def test_the_group_of_a_licence() -> None:
    assert licences.group("CC-PDM-1.0") == "open"
    assert licences.group("CC-BY-SA-3.0-DE") == "sharealike"
    assert licences.group("CC-BY-NC-SA-4.0") == "noncommercial"
    assert licences.group("CC-BY-NC-ND-1.0") is licences.group(licences.AMBIGUOUS) is None
    for name, wordings in licences.WORDINGS.items():
        groups = {licences.group(w.means) for w in wordings}
        expected = {"accepted": {"open", "sharealike"}, "noncommercial": {"noncommercial"}}
        assert groups == expected.get(name, {None})


@pytest.mark.parametrize("kind", licences.WORDINGS)
def test_the_licence_parser_agrees_with_the_hand_written_meanings(kind: str) -> None:
    for wording in licences.WORDINGS[kind]:
        fields = ((wording.url, "url"), (wording.name, "text"))
        said = [parse(text, source_kind) for text, source_kind in fields if text]
        answers = {answer.id if answer.status == "ok" else answer.status.upper() for answer in said}
        if kind == "contradiction":
            assert len(answers) == 2
        else:
            assert answers <= {wording.means}, wording


def test_the_source_reads_every_row_and_finds_the_malformed_ones(
    corpus: demo.Corpus, truth: list[dict]
) -> None:
    found = pa.concat_tables(Demo(path=corpus.directory).candidates())
    assert set(found["key"].to_pylist()) == {row["key"] for row in truth}
    defects = dict(zip(found["key"].to_pylist(), found["defect"].to_pylist(), strict=True))
    told = {row["key"]: row["detail"] for row in truth if row["fault"] == "malformed"}
    without_words = {key for key, detail in told.items() if detail in ("caption_null", "caption_blank")}
    flagged = {key for key, defect in defects.items() if defect is not None}
    assert flagged == set(told) - without_words
    for key in flagged:
        assert defects[key] == f"malformed:{told[key].partition('_')[0]}"


def test_every_fault_has_reasons_that_stages_may_give() -> None:
    for fault in faults.FAULTS.values():
        assert all(stage.kind_of(reason) for reason in fault.reasons)


# --- pictures ---------------------------------------------------------------------------------------
def psnr(left: Image.Image, right: Image.Image) -> float:
    difference = np.asarray(left, float) - np.asarray(right, float)
    return 10 * float(np.log10(255**2 / max(1e-9, np.square(difference).mean())))


def test_odd_pictures_are_odd_and_hold_the_expected_pixels(rows: list[demo.Row]) -> None:
    modes: dict[str, set[str]] = {}
    for row in rows:
        if row.expected is None or row.oddity is None or row.body is None:
            continue
        with Image.open(io.BytesIO(row.body)) as stored:
            modes.setdefault(row.oddity, set()).add(stored.mode)
            if row.oddity == "exif_rotated":
                assert stored.getexif()[0x0112] == int(row.detail.removeprefix("orientation "))
                assert psnr(ImageOps.exif_transpose(stored), row.expected) > 35
            elif row.oddity == "alpha":
                white = Image.new("RGBA", stored.size, "white")
                white.alpha_composite(stored)
                assert psnr(white.convert("RGB"), row.expected) > 50
                assert psnr(stored.convert("RGB"), row.expected) < 30  # alpha dropped shows
            else:
                assert psnr(stored.convert("RGB"), row.expected) > 35
        if row.oddity == "png16":
            assert row.body[24] == 16  # bit depth in the header
    assert modes == {
        "exif_rotated": {"RGB"}, "cmyk": {"CMYK"}, "png16": {"RGB"}, "alpha": {"RGBA"},
    }  # fmt: skip


def test_bodies_carry_their_fault(rows: list[demo.Row]) -> None:
    for row in rows:
        silent = row.fault in ("http_404", "http_500", "timeout")
        assert (row.body is None) == silent
        if row.body is None:
            continue
        if row.fault == "html_as_jpeg":
            assert row.body.startswith(b"<!DOCTYPE html>") and row.file_name.endswith(".jpg")
        elif row.fault == "truncated":
            with Image.open(io.BytesIO(row.body)) as picture, pytest.raises(OSError):
                picture.load()
        else:
            with Image.open(io.BytesIO(row.body)) as picture:
                picture.load()
                sides = sorted(row.size)
                assert sorted(picture.size) == sides
            assert (sides[0] < 48) == (row.fault == "too_small")
            assert (sides[1] / sides[0] > 2) == (row.fault == "too_long") or sides[0] < 48


def small(row: demo.Row) -> np.ndarray:
    with Image.open(io.BytesIO(row.body or b"")) as picture:
        upright = row.expected or picture.convert("RGB")
        return np.asarray(upright.resize((12, 12), Image.Resampling.BOX), float)


def test_duplicates_look_alike_others_do_not_and_the_best_stays(rows: list[demo.Row]) -> None:
    clusters: dict[int, list[demo.Row]] = {}
    for row in rows:
        if row.cluster is not None:
            clusters.setdefault(row.cluster, []).append(row)
    order = {"open": 0, "sharealike": 1}
    for members in clusters.values():
        best = min(
            members,
            key=lambda r: (order[str(licences.group(r.wording.means))], -r.size[0] * r.size[1], r.key),
        )
        assert [r.key for r in members if r.fault == demo.GOOD] == [best.key]
        same = len({r.body for r in members}) == 1
        assert {r.fault for r in members} - {demo.GOOD} == {
            "duplicate_exact" if same else "duplicate_near"
        }
        assert max(float(np.abs(small(r) - small(best)).mean()) for r in members) < 14
    assert any(len(members) == 3 for members in clusters.values())
    one_each = [r for r in rows if not r.cluster_rank and r.body and r.fault not in
                ("html_as_jpeg", "truncated")]  # fmt: skip
    prints = np.stack([small(r).reshape(-1) for r in one_each])
    least = min(np.abs(prints[i] - prints[:i]).mean(1).min() for i in range(1, len(prints)))
    assert least > 5


def test_captions_are_wrong_only_where_planted(rows: list[demo.Row]) -> None:
    others = Counter(row.true_caption for row in rows)
    for row in rows:
        assert (row.caption != row.true_caption) == (row.fault in CAPTION_FAULTS)
        named = [(t.colour, t.shape) for t in row.scene.things]
        said = all(f"{colour} {shape}" in row.caption for colour, shape in named)
        if row.fault == "caption_random":
            assert row.caption in others
            assert not any(f"{colour} {shape}" in row.caption for colour, shape in named)
        elif row.fault == "caption_colour":
            assert not said
            assert all(shape in row.caption for _, shape in named)
        else:
            assert said


def test_the_stages_find_what_is_planted_in_the_bytes(
    corpus: demo.Corpus, rows: list[demo.Row], truth: list[dict]
) -> None:
    """Bytes through inspect, resolution, aspect and duplicates; the rest of the ledger is perfect."""
    silent = ("license", "noai", "http", "timeout", "malformed")
    served = [row for row in rows if row.body is not None and not row.fault.startswith(silent)]
    table = pa.table(
        [[r.key for r in served], [r.body for r in served], [r.wording.means for r in served],
         [5] * len(served), [hashlib.sha256(r.body or b"").hexdigest() for r in served]],
        schema=pa.schema([c.KEY, c.BODY, c.LICENSE, c.EVIDENCE_LEVEL, c.ORIGINAL_SHA256]),
    )  # fmt: skip
    for each in (Inspect(), Resolution(min_side=48), Aspect(max_ratio=2.0)):
        table = stage.apply(each, table)
    expected = {row.key: row.expected for row in served if row.expected is not None}
    for row in table.select(["key", "image"]).to_pylist():
        if row["key"] in expected:
            with Image.open(io.BytesIO(row["image"]["bytes"])) as stored:
                assert psnr(stored, expected[row["key"]]) > 30
    marks = [
        Duplicates().decide([table.filter(stage.living(table))]),
        table.filter(pc.invert(stage.living(table))),
    ]
    ledger = perfect(truth)
    set_all(ledger, [r.key for r in served if r.fault not in CAPTION_FAULTS], None)
    for marked in marks:
        for row in marked.select(["key", "verdict", "reason", "related_key"]).to_pylist():
            ledger[row["key"]] |= row
    for name, line in scores(corpus, ledger).items():
        assert (name, line.recall, line.precision or 1.0) == (name, 1.0, 1.0)


# --- the server ---------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def address(corpus: demo.Corpus, log: io.StringIO) -> Iterator[server.Address]:
    with server.serve(corpus.directory, log=log) as address:
        yield address


def get(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", host: str = server.HOST
) -> tuple[int, list[tuple[str, str]], bytes]:
    connection.request(method, path, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.getheaders(), answer.read()


def test_every_row_is_served_as_planted(
    rows: list[demo.Row], address: server.Address, log: io.StringIO
) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    started = time.monotonic()
    for row in rows:
        if row.fault == "timeout":
            continue
        status, headers, body = get(connection, f"/pictures/{row.file_name}")
        if row.fault.startswith("http_"):
            assert status == int(row.fault.removeprefix("http_"))
            continue
        assert (status, body) == (200, row.body)
        suffix = row.file_name.rpartition(".")[2].replace("jpg", "jpeg")
        assert ("Content-Type", f"image/{suffix}") in headers
        robots = [value for name, value in headers if name == "X-Robots-Tag"]
        assert " | ".join(robots) == (row.detail if robots else "")
        assert bool(robots) == (row.fault == "noai" or row.oddity == "robots_of_another")
    assert time.monotonic() - started < 15  # thousands in seconds, one connection
    connection.close()
    assert f"GET /pictures/{rows[0].file_name} " in log.getvalue()


def test_a_timeout_holds_its_connection_until_the_server_closes(
    corpus: demo.Corpus, rows: list[demo.Row]
) -> None:
    path = f"/pictures/{next(row for row in rows if row.fault == 'timeout').file_name}"
    with server.serve(corpus.directory) as address:
        impatient = http.client.HTTPConnection(*address, timeout=0.3)
        with pytest.raises(TimeoutError):
            get(impatient, path)
        impatient.close()
        patient = http.client.HTTPConnection(*address, timeout=20)
        patient.request("GET", path, headers={"Host": server.HOST})
        time.sleep(0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        patient.getresponse()
    patient.close()


def test_only_its_host_its_paths_and_reading_are_served(
    rows: list[demo.Row], address: server.Address
) -> None:
    good = next(row for row in rows if row.fault == demo.GOOD)
    path = f"/pictures/{good.file_name}"
    connection = http.client.HTTPConnection(*address, timeout=10)
    assert get(connection, path, host="other.example")[0] == 421
    assert get(connection, path, host=f"{server.HOST}:8080")[0] == 200
    assert get(connection, f"{path}?size=large")[0] == 200
    for missing in ("/", "/robots.txt", "/pictures/../truth.parquet", "/truth.parquet"):
        assert get(connection, missing)[0] == 404
    assert get(connection, path, method="DELETE")[0] == 405
    status, headers, body = get(connection, path, method="HEAD")
    assert (status, body) == (200, b"")
    assert ("Content-Length", str(len(good.body or b""))) in headers
    connection.close()


def test_it_runs_as_a_process_of_its_own(corpus: demo.Corpus, rows: list[demo.Row]) -> None:
    command = [sys.executable, "-m", "curate.demo.server", str(corpus.directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        good = next(row for row in rows if row.fault == demo.GOOD)
        assert get(connection, f"/pictures/{good.file_name}")[2] == good.body
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        connection.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_folder_without_a_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"server\.json"), server.serve(tmp_path):
        pass
    assert server.main([str(tmp_path)]) == 2
    assert server.main([]) == 2


# --- scoring ------------------------------------------------------------------------------------------
Ledger = dict[str, dict]


def perfect(truth: list[dict]) -> Ledger:
    """The ledger of a pipeline that finds everything, by key."""
    best = {row["cluster"]: row["key"] for row in truth if row["cluster_rank"] == 0}
    reasons = {"duplicate_exact": "duplicate:exact", "duplicate_near": "duplicate:near",
               "malformed": "malformed:url"}  # fmt: skip
    ledger = {}
    for row in truth:
        fault = row["fault"]
        reason = reasons.get(fault) or (faults.FAULTS[fault].reasons[0] if fault != "none" else None)
        unjudged = reason is not None and reason.startswith(("license", "malformed"))
        ledger[row["key"]] = {
            "key": row["key"], "verdict": "rejected" if reason else "kept", "reason": reason,
            "related_key": best[row["cluster"]] if fault.startswith("duplicate") else None,
            "license": None if unjudged else row["license"],
        }  # fmt: skip
    return ledger


def scores(corpus: demo.Corpus, ledger: Ledger, **options: object) -> dict[str, scoring.FaultScore]:
    schema = pa.schema([c.LEDGER.field(name) for name in scoring._LEDGER])
    table = pa.Table.from_pylist(list(ledger.values()), schema=schema)
    return {line.fault: line for line in scoring.score(corpus.truth, table, **options)}


def set_all(ledger: Ledger, keys: list[str], reason: str | None) -> None:
    for key in keys:
        ledger[key] |= {"verdict": "rejected" if reason else "kept", "reason": reason}


def keys_of(truth: list[dict], fault: str) -> list[str]:
    return [row["key"] for row in truth if row["fault"] == fault]


def test_a_perfect_ledger_scores_one_everywhere(corpus: demo.Corpus, truth: list[dict]) -> None:
    lines = scores(corpus, perfect(truth))
    assert {fault.title for fault in faults.FAULTS.values()} < set(lines)
    for line in lines.values():
        assert line.planted > 0
        assert (line.found, line.recall) == (line.planted, 1.0)
        assert line.precision in (None, 1.0)
        assert "missed" not in line.note


def test_keeping_everything_finds_nothing(corpus: demo.Corpus, truth: list[dict]) -> None:
    ledger = perfect(truth)
    set_all(ledger, list(ledger), None)
    lines = scores(corpus, ledger)
    for fault in faults.FAULTS.values():
        line = lines[fault.title]
        assert (line.found, line.recall, line.precision) == (0, 0.0, None)
    decided = lines["licence: accepted"]
    refused = sum(corpus.planted[n] for n in faults.FAULTS if n.startswith("license_"))
    judged = PICTURES - corpus.planted["malformed"]
    assert decided.recall == 1.0
    assert decided.precision == pytest.approx((judged - refused) / judged)
    assert decided.note == f"{refused} wrongly accepted"
    assert lines["good rows, to be kept"].precision == corpus.planted["none"] / PICTURES


def test_a_lenient_clip_threshold_shows_what_is_missed(
    corpus: demo.Corpus, truth: list[dict]
) -> None:
    ledger, relations = perfect(truth), keys_of(truth, "caption_relation")
    good = [r["key"] for r in truth if r["fault"] == "none" and r["cluster"] is None][:5]
    set_all(ledger, relations, None)
    set_all(ledger, good, "clip_score")
    lines = scores(corpus, ledger)
    wrong = sum(corpus.planted[name] for name in CAPTION_FAULTS)
    relation = lines["caption with the relation swapped"]
    assert (relation.found, relation.recall) == (0, 0.0)
    assert "kept" in relation.note and "hardly sees relations" in relation.note
    line = lines["caption of another picture"]
    assert line.recall == 1.0
    assert line.precision == pytest.approx((wrong - len(relations)) / (wrong - len(relations) + 5))
    assert line.note == f"5 good pairs lost ({5 / corpus.planted['none']:.1%})"
    kept = lines["good rows, to be kept"]
    assert kept.note == "missed: 5 clip_score"
    assert kept.precision == pytest.approx(kept.found / (kept.found + len(relations)))


def test_licence_mistakes_are_told_apart(corpus: demo.Corpus, truth: list[dict]) -> None:
    ledger = perfect(truth)
    by = [r["key"] for r in truth if r["license"] == "CC-BY-4.0" and r["fault"] == "none"][:2]
    set_all(ledger, by[:1], "license:ambiguous")  # a good licence refused
    ledger[by[0]]["license"] = None
    ledger[by[1]]["license"] = "CC-BY-3.0"  # a good licence misread
    vague = keys_of(truth, "license_ambiguous")[0]
    set_all(ledger, [vague], None)  # a vague one let in
    lines = scores(corpus, ledger)
    decided, exact = lines["licence: accepted"], lines["licence: exact id"]
    assert decided.note == "1 wrongly accepted; 1 wrongly refused"
    assert decided.precision == decided.recall == pytest.approx(1 - 1 / decided.planted)
    assert exact.found == exact.planted - 2
    assert "1 CC-BY-3.0 for CC-BY-4.0" in exact.note
    ambiguous = lines["licence: ambiguous"]
    assert ambiguous.recall == pytest.approx(1 - 1 / ambiguous.planted)
    assert ambiguous.note == "missed: 1 kept"
    assert ambiguous.precision is not None and ambiguous.precision < 1


def test_a_policy_that_takes_noncommercial_rows(corpus: demo.Corpus, truth: list[dict]) -> None:
    ledger = perfect(truth)
    for row in truth:
        if row["fault"] == "license_noncommercial":
            ledger[row["key"]] |= {"verdict": "kept", "reason": None, "license": row["license"]}
    strict = scores(corpus, ledger)
    assert strict["licence: non-commercial"].recall == 0.0
    wide = scores(corpus, ledger, accepted_groups=licences.GROUPS)
    assert wide["licence: accepted"].precision == wide["licence: accepted"].recall == 1.0
    assert wide["licence: non-commercial"].planted == 0
    assert wide["licence: non-commercial"].recall is None
    assert wide["good rows, to be kept"].recall == 1.0


def cluster_of(truth: list[dict], kind: str, members: int = 2) -> list[dict]:
    """The rows of one planted cluster, best first."""
    clusters: dict[int, list[dict]] = {}
    for row in truth:
        if row["cluster_kind"] == kind:
            clusters.setdefault(row["cluster"], []).append(row)
    found = next(rows for rows in clusters.values() if len(rows) == members)
    return sorted(found, key=lambda row: row["cluster_rank"])


def test_duplicates_with_the_wrong_survivor(corpus: demo.Corpus, truth: list[dict]) -> None:
    ledger = perfect(truth)
    best, copy = cluster_of(truth, "near")
    ledger[copy["key"]] |= {"verdict": "kept", "reason": None}
    ledger[best["key"]] |= {"verdict": "rejected", "reason": "duplicate:near", "related_key": copy["key"]}
    line = scores(corpus, ledger)["near duplicate"]
    assert line.recall == line.precision == 1.0  # one of the two went
    stays, clusters = map(int, re.findall(r"\d+", line.note)[:2])
    assert stays == clusters - 1
    assert "1 name another survivor" in line.note


def test_a_cluster_rejected_whole_and_a_false_duplicate(
    corpus: demo.Corpus, truth: list[dict]
) -> None:
    ledger = perfect(truth)
    best, _ = cluster_of(truth, "exact")
    alone = next(r["key"] for r in truth if r["fault"] == "none" and r["cluster"] is None)
    set_all(ledger, [best["key"], alone], "duplicate:exact")
    line = scores(corpus, ledger)["exact duplicate"]
    assert line.recall == 1.0
    assert line.precision == pytest.approx(line.planted / (line.planted + 2))


def test_a_survivor_that_fell_earlier_leaves_its_place_to_the_next(
    corpus: demo.Corpus, truth: list[dict]
) -> None:
    ledger = perfect(truth)
    best, copy = cluster_of(truth, "near")
    ledger[best["key"]] |= {"verdict": "failed", "reason": "timeout"}
    ledger[copy["key"]] |= {"verdict": "kept", "reason": None, "related_key": None}
    line = scores(corpus, ledger)["near duplicate"]
    assert line.recall == line.precision == 1.0
    assert line.found == line.planted - 1
    assert "1 of the cluster's rows fell earlier" in line.note
    stays, clusters = map(int, re.findall(r"\d+", line.note)[:2])
    assert stays == clusters
    # a survivor lost after the barrier was still the survivor
    ledger = perfect(truth)
    set_all(ledger, [best["key"]], "clip_score")
    line = scores(corpus, ledger)["near duplicate"]
    assert line.recall == 1.0 and line.found == line.planted


def test_lost_and_foreign_rows_are_not_accounted_for(
    corpus: demo.Corpus, truth: list[dict]
) -> None:
    ledger = perfect(truth)
    for key in keys_of(truth, "noai")[:2]:
        del ledger[key]
    ledger["ff" * 32] = {"key": "ff" * 32, "verdict": "kept", "reason": None}
    lines = scores(corpus, ledger)
    line = lines["rows accounted for"]
    assert (line.found, line.planted) == (PICTURES - 2, PICTURES)
    assert line.recall is not None and line.recall < 1
    assert line.precision is not None and line.precision < 1
    assert "1 ledger rows" in line.note
    assert lines["X-Robots-Tag: noai"].note == "missed: 2 not in the ledger"
    with pytest.raises(MissingInput, match="planted truth"):
        scoring.score(corpus.directory / "nothing.parquet", pa.table({}))
