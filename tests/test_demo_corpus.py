"""The demo's corpus: planted truth that can be trusted."""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from curate import stage
from curate.demo import corpus as demo
from curate.demo import faults, licences
from curate.errors import RecipeError
from curate.license import parse
from curate.sources.demo import Demo

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
        "noai": "noai {}", "robots_txt": "robots.txt {}", "tdm_reservation": "TDMRep {}", "http_404": "404 {}", "http_500": "500 {}", "timeout": "timeout {}",
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
    without_words = {
        key for key, detail in told.items() if detail in ("caption_null", "caption_blank")
    }
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
            key=lambda r: (
                order[str(licences.group(r.wording.means))],
                -r.size[0] * r.size[1],
                r.key,
            ),
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
