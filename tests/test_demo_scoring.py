"""The demo's table of found and planted, on ledgers made by hand and by the real stages."""

from __future__ import annotations

import hashlib
import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from PIL import Image

from curate import columns as c
from curate import stage
from curate.demo import corpus as demo
from curate.demo import faults, licences, scoring
from curate.errors import MissingInput
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


Ledger = dict[str, dict]


def perfect(truth: list[dict]) -> Ledger:
    """The ledger of a pipeline that finds everything, by key."""
    best = {row["cluster"]: row["key"] for row in truth if row["cluster_rank"] == 0}
    reasons = {"duplicate_exact": "duplicate:exact", "duplicate_near": "duplicate:near",
               "malformed": "malformed:url"}  # fmt: skip
    ledger = {}
    for row in truth:
        fault = row["fault"]
        reason = reasons.get(fault) or (
            faults.FAULTS[fault].reasons[0] if fault != "none" else None
        )
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
    ledger[best["key"]] |= {
        "verdict": "rejected",
        "reason": "duplicate:near",
        "related_key": copy["key"],
    }
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


# --- the real stages ---------------------------------------------------------------------------
def psnr(left: Image.Image, right: Image.Image) -> float:
    difference = np.asarray(left, float) - np.asarray(right, float)
    return 10 * float(np.log10(255**2 / max(1e-9, np.square(difference).mean())))


def test_the_stages_find_what_is_planted_in_the_bytes(
    corpus: demo.Corpus, rows: list[demo.Row], truth: list[dict]
) -> None:
    """Bytes through inspect, resolution, aspect and duplicates; the rest of the ledger is perfect."""
    silent = ("license", "noai", "robots_txt", "tdm_", "http", "timeout", "malformed")
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
