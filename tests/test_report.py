"""The report: its counts against the ledger, what it must never show, and hostile metadata."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from report_dataset import HOSTILE, THRESHOLD, WITHHELD_PICTURE, Written, write_dataset

from curate.demo.scoring import FaultScore
from curate.errors import MissingInput, StoreError
from curate.report import format as text
from curate.report import write_report
from curate.report.charts import nice_ceiling, ticks
from curate.report.clusters import duplicate_clusters
from curate.report.scores import clip_scores
from curate.report.sheets import CARDS_A_REASON, KEPT_CARDS, contact_sheets, thumbnail
from curate.report.verdicts import count, funnel
from curate.store.dataset import Dataset

VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Tags with attributes, and the text, of one page; unbalanced tags are an error."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_dataset(tmp_path_factory.mktemp("report") / "data")


@pytest.fixture(scope="module")
def html(written: Written) -> str:
    return write_report(written.root).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_counts_are_those_of_the_ledger(written: Written, page: Page) -> None:
    dataset = Dataset.open(written.root)
    verdicts = count(dataset)
    kept = len(written.of("kept"))
    failed = len([row for row in written.rows if row.verdict == "failed"])
    assert verdicts.totals == {"kept": kept, "rejected": len(written.rows) - kept - failed,
                               "failed": failed}  # fmt: skip
    assert f"{kept} captioned pictures kept of {len(written.rows)} candidates" in page.text
    by_license = {line.license: line for line in verdicts.licenses}
    for license_id in {row.license for row in written.rows}:
        own = [row for row in written.rows if row.license == license_id]
        line = by_license[license_id]
        assert line.total == len(own)
        assert line.verdicts["kept"] == sum(row.verdict == "kept" for row in own)
        assert sum(line.levels.values()) == line.verdicts["kept"]
    assert sum(counted.rows for counted in verdicts.reasons) == len(written.rows) - kept


def test_funnel_joins_up_and_knows_failed_from_rejected(written: Written) -> None:
    dataset = Dataset.open(written.root)
    steps = funnel(dataset.record["funnel"], count(dataset))
    assert steps[0].rows_in == len(written.rows)
    assert all(after.rows_in == before.rows_out for before, after in pairwise(steps))
    assert steps[-1].rows_out == len(written.of("kept"))
    download = next(step for step in steps if step.stage == "download")
    assert download.verdicts["failed"] == len(written.of("http")) + len(written.of("timeout"))
    assert sum(download.verdicts.values()) == download.lost


def test_pictures_rejected_for_licence_or_reservation_are_never_shown(
    written: Written, html: str, page: Page
) -> None:
    assert any(row.stage == "license" for row in written.rows)
    assert base64.b64encode(WITHHELD_PICTURE).decode() not in html
    for row in [*written.of("license"), *written.of("reservation")]:
        assert row.key not in html
    assert "are neither stored nor shown" in page.text
    assert (
        f"license:unknown: {len([r for r in written.rows if r.reason == 'license:unknown'])}"
        in page.text
    )


def test_sheets_hold_the_first_rows_in_key_order(written: Written) -> None:
    dataset = Dataset.open(written.root)
    sheets = contact_sheets(dataset, count(dataset))
    kept = sorted(row.key for row in written.of("kept"))
    assert [card.key for card in sheets.kept.cards] == kept[:KEPT_CARDS]
    assert sheets.kept.pictures == KEPT_CARDS
    near = sorted(row.key for row in written.rows if row.reason == "duplicate:near")
    sheet = next(s for s in sheets.others if s.counted.reason == "duplicate:near")
    assert [card.key for card in sheet.cards] == near[:CARDS_A_REASON]
    row = next(row for row in written.rows if row.key == sheets.kept.cards[0].key)
    card = sheets.kept.cards[0]
    assert (card.license, card.creator, card.caption) == (
        row.license, row.candidate["creator"], row.candidate["captions"][0]["text"]
    )  # fmt: skip


def test_every_picture_has_a_credit_and_a_licence(written: Written, page: Page) -> None:
    tiles = [attrs for attrs in page.all("figure") if "card" in attrs.get("class", "").split()]
    credits = [a for a in page.all("span") if a.get("class") == "credit"]
    terms = [a for a in page.all("span") if a.get("class") == "terms"]
    assert len(tiles) == len(credits) == len(terms) > KEPT_CARDS
    assert all(attrs.get("alt") for attrs in page.all("img"))
    urls = {attrs["href"] for attrs in page.all("a") if "creativecommons" in attrs.get("href", "")}
    assert "https://creativecommons.org/licenses/by/4.0/" in urls
    assert "https://creativecommons.org/licenses/by-sa/3.0/de/" in urls


def test_hostile_metadata_is_text_and_only_web_links_become_links(html: str, page: Page) -> None:
    assert HOSTILE in page.text
    assert "<script" not in html and "javascript" not in re.sub(r"&[a-z#0-9]+;", "", html)
    for tag, attrs in page.tags:
        assert tag not in ("script", "iframe", "object", "embed", "form", "base", "video", "audio")
        assert not [name for name in attrs if name.startswith("on")]
        assert attrs.get("src", "data:").startswith("data:image/") or tag != "img"
        href = attrs.get("href", "#")
        assert href.startswith(("#", "https://", "http://", "data:,"))
        if href.startswith("http"):
            assert {"noopener", "noreferrer"} <= set(attrs["rel"].split())
    assert "url(" not in html and "@import" not in html
    policy = next(a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith(
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    )


def test_thresholds_are_counted_and_not_interpolated(written: Written, page: Page) -> None:
    found = clip_scores(Dataset.open(written.root))
    scores = np.array(
        [r.score for r in written.rows if r.verdict == "kept" or r.stage == "threshold"]
    )
    assert found is not None and found.rows == sum(found.counts) == len(scores)
    assert found.threshold == THRESHOLD and found.below == int((scores < THRESHOLD).sum())
    others = [line for line in found.thresholds if not line.chosen]
    assert len(others) == 10 and THRESHOLD not in [line.value for line in others]
    for line in found.thresholds:
        assert line.kept == int((scores >= line.value).sum())
    assert found.edges[0] <= scores.min() and scores.max() <= found.edges[-1]
    labels = [attrs.get("aria-label", "") for attrs in page.all("svg")]
    assert any(label.startswith(f"Histogram of {len(scores)} CLIP scores") for label in labels)
    assert "CLIP score (cosine similarity, no unit)" in page.text
    assert f"threshold {THRESHOLD:.3f}" in page.text


def test_the_threshold_of_a_quantile_is_the_lowest_score_that_passed(
    written: Written, tmp_path: Path
) -> None:
    root = _copy(written, tmp_path)
    _edit_record(root, lambda record: record["recipe"]["passes"][1]["barrier"].update(
        {"at_least": None, "quantile": 0.1}))  # fmt: skip
    found = clip_scores(Dataset.open(root))
    assert found is not None
    assert found.threshold == min(row.score for row in written.of("kept"))
    assert found.below == len(written.of("clip_score"))


def test_clusters_show_survivor_and_members(written: Written, page: Page) -> None:
    found = duplicate_clusters(Dataset.open(written.root))
    members: dict[str, set[str]] = {}
    for row in written.of("duplicate"):
        members.setdefault(row.related or "", set()).add(row.key)
    assert found is not None
    assert (found.count, found.duplicates) == (len(members), len(written.of("duplicate")))
    assert sum(n for _, n in found.sizes) == found.count
    assert sum((rows - 1) * n for rows, n in found.sizes) == found.duplicates
    for cluster in found.drawn:
        assert {card.key for card in cluster.members} <= members[cluster.survivor.key]
        assert len(cluster.members) + cluster.hidden == len(members[cluster.survivor.key])
    reasons = {card.reason for cluster in found.drawn for card in cluster.members}
    assert reasons == {"duplicate:exact", "duplicate:near"}
    badges = [a["class"] for a in page.all("span") if a.get("class", "").startswith("badge")]
    assert badges.count("badge kept") == len(found.drawn)


def test_not_audited_is_said_and_no_licence_is_claimed(tmp_path: Path) -> None:
    written = write_dataset(tmp_path / "plain", rows=200, audited=False)
    page = Page(write_report(written.root).read_text(encoding="utf-8"))
    assert "licence: not audited" in page.text
    assert "audited by the licence stage" not in page.text
    assert "makes no statement about the right to use its pictures" in page.text


def test_no_page_says_more_than_that_a_claim_was_made(page: Page) -> None:
    assert "Evidence shows that a claim was made, not that it was true." in page.text
    for word in (
        "legally",
        "guarantee",
        "verified licence",
        "free to use",
        "copyright-free",
        "safe to",
    ):
        assert word not in page.text.lower()


def test_a_ledger_that_disagrees_with_the_manifest_is_said(
    written: Written, tmp_path: Path
) -> None:
    from curate.store.files import LocalFiles
    from curate.store.manifest import MANIFEST, load_manifest

    root = _copy(written, tmp_path)
    manifest = load_manifest(LocalFiles(root))
    wrong = manifest.counts.model_copy(update={"kept": manifest.counts.kept + 1})
    edited = manifest.model_copy(update={"counts": wrong})
    (root / MANIFEST).write_bytes(edited.to_bytes())
    page = Page(write_report(root).read_text(encoding="utf-8"))
    assert "The ledger and the manifest disagree" in page.text


def test_recipe_exceptions_and_weak_evidence_are_said(tmp_path: Path) -> None:
    written = write_dataset(tmp_path / "weak", rows=200, floor=1)
    _edit_record(written.root, lambda record: record["recipe"]["passes"][0]["stages"][0].update(
        {"evidence_at_least": "L1", "versionless": ["CC-BY"]}))  # fmt: skip
    text_ = Page(write_report(written.root).read_text(encoding="utf-8")).text
    assert "evidence_at_least: L1" in text_ and "versionless: CC-BY" in text_
    weak = sum((row.level or 0) < 3 for row in written.of("kept"))
    assert weak and f"{weak} kept rows rest on evidence below L3" in text_


def test_the_page_grows_with_its_sample_and_not_with_the_dataset(tmp_path: Path) -> None:
    small = write_report(write_dataset(tmp_path / "small", rows=250).root)
    large = write_report(write_dataset(tmp_path / "large", rows=1000).root)
    assert large.stat().st_size < 1.35 * small.stat().st_size
    assert large.stat().st_size < 4 << 20


def test_the_same_dataset_gives_the_same_page(written: Written, tmp_path: Path) -> None:
    first, second = (write_report(written.root, tmp_path / name).read_bytes() for name in "ab")
    assert first == second


def test_training_and_found_planted_are_shown(written: Written, tmp_path: Path) -> None:
    run = _training(tmp_path)
    rows = [FaultScore("relation swapped", 60, 2, 0.5, 0.0333, "58 missed: CLIP <cannot> see it"),
            FaultScore("nothing planted", 0, 0, None, None)]  # fmt: skip
    page = Page(
        write_report(written.root, tmp_path / "r.html", training=run, scores=rows).read_text()
    )
    assert "58 missed: CLIP <cannot> see it" in page.text and "0.033" in page.text
    assert "1,990 steps in 1 min 30 s" in page.text
    labels = [attrs.get("aria-label", "") for attrs in page.all("svg")]
    assert any(label.startswith("Training loss from step 0 to 1,990") for label in labels)
    points = next(a["points"] for a in page.all("polyline"))
    assert 100 <= len(points.split()) <= 240
    assert any(a["src"].startswith("data:image/png") for a in page.all("img"))


def test_damaged_or_missing_training_metrics_are_errors(written: Written, tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"metrics\.jsonl"):
        write_report(written.root, tmp_path / "r.html", training=tmp_path)
    run = _training(tmp_path)
    (run / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "los\n')
    with pytest.raises(StoreError, match="line 2"):
        write_report(written.root, tmp_path / "r.html", training=run)
    assert not (tmp_path / "r.html").exists()


def test_a_directory_without_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=re.escape(str(tmp_path))):
        write_report(tmp_path)


@pytest.mark.parametrize("url", [
    "javascript:alert(1)", "java\nscript:alert(1)", " https://a.example", "https://a.example/\u202egpj",
    "data:text/html,x", "//a.example/x", "https:///x", "ftp://a.example", "https://user@a.example/",
    "http://[::1", "", None, 7, "https://a.example/" + "x" * 3000, "vbscript:x",
])  # fmt: skip
def test_only_plain_web_addresses_are_links(url: object) -> None:
    assert text.link(url) is None


def test_web_addresses_stay_as_they_are() -> None:
    for url in ("https://a.example/x?y=1&z=%20#t", "http://127.0.0.1:8000/p", "HTTPS://A.example/"):
        assert text.link(url) == url


def test_foreign_strings_are_cut_and_cleaned_before_anything_else() -> None:
    assert text.clean("a\x00b\u202ec\r\n\td  e") == "abc d e"
    assert text.clean(None) == ""
    long = text.clean("x" * 10_000_000)
    assert len(long) == text.TEXT_LIMIT and long.endswith("…")


def test_numbers_are_written_for_people() -> None:
    assert text.thousands(1234567) == "1,234,567"
    shares = [text.percent(share) for share in (0, 0.00001, 0.5, 0.99999, 1)]
    assert shares == ["0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100 %"]
    assert [text.duration(s) for s in (3.21, 59.96, 245, 7620)] == [
        "3.2 s", "1 min 00 s", "4 min 05 s", "2 h 07 min",
    ]  # fmt: skip
    assert [text.size(n) for n in (12, 2048, 3 << 30)] == ["12 bytes", "2.0 KiB", "3.0 GiB"]
    assert ticks(0, 40, 4) == [0, 10, 20, 30, 40] and nice_ceiling(36) == 50
    assert ticks(0.02, 0.11, 4) == [0.025, 0.05, 0.075, 0.1]


def test_thumbnails_are_small_jpegs_whatever_is_stored() -> None:
    import io

    from PIL import Image

    big = Image.effect_noise((900, 600), 80).convert("RGB")
    out = io.BytesIO()
    big.save(out, "PNG")
    small = thumbnail(out.getvalue())
    assert small is not None and small.startswith(b"\xff\xd8\xff") and len(small) < 48_000
    assert thumbnail(b"<svg onload=alert(1)>") is None and thumbnail(b"") is None
    assert thumbnail(out.getvalue()[:500]) is None


def test_colours_have_contrast_in_both_schemes(html: str) -> None:
    blocks = re.findall(r"--paper: #.*?--failed-fill: #[0-9a-f]{6}", html, re.S)
    assert len(blocks) == 3  # light, dark, print
    for block in blocks[:2]:
        tone = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for ground in ("paper", "tile"):
            for ink in ("ink", "soft", "kept", "bad", "failed", "link"):
                ratio = _contrast(tone[ink], tone[ground])
                assert ratio >= 4.5, f"{ink} on {ground}: {ratio:.2f}"
        for fill in ("kept-fill", "bad-fill", "failed-fill"):
            assert _contrast(tone[fill], tone["paper"]) >= 3


def _contrast(first: str, second: str) -> float:
    lights = []
    for colour in (first, second):
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        red, green, blue = (
            p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts
        )
        lights.append(0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)
    return max(lights) / min(lights)


def _copy(written: Written, tmp_path: Path) -> Path:
    return Path(shutil.copytree(written.root, tmp_path / "copy"))


def _edit_record(root: Path, change: object) -> None:
    from curate.store.manifest import RECORD, record_bytes

    record = json.loads((root / RECORD).read_text())
    change(record)  # type: ignore[operator]
    (root / RECORD).write_bytes(record_bytes(record))


def _training(tmp_path: Path) -> Path:
    from PIL import Image

    run = tmp_path / "run"
    run.mkdir()
    lines = [{"step": n * 10, "loss": 1 / (n + 1) + 0.2, "seconds": n * 0.4523} for n in range(200)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Image.new("RGB", (64, 32), "teal").save(run / "samples.png")
    return run


def test_the_demo_run_has_a_report_with_decoded_latents(demo_dataset: Path) -> None:
    from curate.report.latents import decoded_latents

    html = (demo_dataset / "report.html").read_text(encoding="utf-8")
    sections = [attrs["id"] for attrs in Page(html).all("section")]
    assert sections == ["funnel", "licences", "kept", "rejected", "clip", "duplicates", "latents",
                        "provenance"]  # fmt: skip
    latents = decoded_latents(Dataset.open(demo_dataset))
    assert latents is not None and latents.why_not is None and len(latents.pairs) == 8
    assert min(pair.psnr_db for pair in latents.pairs) > 25


def test_latents_of_a_model_that_is_not_there_are_explained(
    written: Written, tmp_path: Path
) -> None:
    from curate.models.vae import Vae

    there = write_dataset(tmp_path / "data", rows=160, vae=Vae.load("builtin:tiny"),
                          vae_ref=str(tmp_path / "gone"))  # fmt: skip
    page = Page(write_report(there.root).read_text(encoding="utf-8"))
    assert "holds latents, but none is decoded here: the model gone is not on" in page.text
    assert str(tmp_path) not in (there.root / "report.html").read_text(encoding="utf-8")
