"""AT1's own source, end to end: with the two lines it keeps pictures, and everything says how."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
from loopback import HOST, serve
from provenance_dataset import jpeg, picture
from rich.console import Console
from source_fixtures import ROOT, recipe_of

from curate import commands
from curate.cluster import Cluster
from curate.provenance.audit import audit
from curate.provenance.nothing import why_nothing
from curate.store.dataset import Dataset

SETTINGS = (
    "passes.0.stages.0.evidence_at_least=L2",
    "passes.0.stages.0.versionless=[CC-BY, CC-BY-SA]",
    f"passes.0.stages.3.allow_private_hosts=[{HOST}]",
    "passes.0.stages.3.retries=0",
    "passes.0.stages.3.timeout_seconds=5",
    "passes.0.stages.6.min_side=16",
    "passes.0.stages.8.sizes=[[64, 64]]",
    "passes.0.stages.8.upscale=allow",
)


def test_two_lines_keep_pictures_and_every_page_says_so(tmp_path: Path) -> None:
    text = (ROOT / "fondant" / "rows.jsonl").read_text().replace("https://pict", "http://pict")
    (tmp_path / "rows.jsonl").write_text(text)
    recipe = recipe_of("fondant", *SETTINGS, f"source.path={tmp_path / 'rows.jsonl'}")
    assert [recipe.passes[0].stages[n].kind for n in (0, 3, 6, 8)] == [
        "license", "download", "resolution", "buckets",
    ]  # fmt: skip
    out = tmp_path / "out"
    with serve() as server:
        for n in range(31):
            body = jpeg(picture(n))
            server.files[f"/f/{n}.jpg"] = ("200 OK", body, {"Content-Type": "image/jpeg"})
        cluster = Cluster(workers=1, connect_to={HOST: server.here})
        quiet = Console(quiet=True)
        commands.build(recipe, out, cluster=cluster, inline=True, limit=None, console=quiet)
    dataset = Dataset.open(out)
    kept = [row for table in dataset.kept("images") for row in table.to_pylist()]
    assert sorted(row["license"] for row in kept) == ["CC-BY"] * 3 + ["CC-PDM-1.0", "CC0-1.0"]
    assert {row["evidence_level"] for row in kept} == {2}
    assert why_nothing(dataset, recipe) == []
    for page in ("README.md", "report.html"):
        written = (out / page).read_text().replace("\\_", "_")
        assert "evidence_at_least: L2" in written, page
        assert "versionless: CC-BY, CC-BY-SA" in written, page
    credits = pq.read_table(out / "ATTRIBUTION.parquet").to_pylist()
    assert len(credits) == 5
    assert "CC-BY" in {row["license"] for row in credits}, "the version stays unknown in the credit"
    result = audit(out)
    assert result.ok, result.problems
    assert any("evidence_at_least: L2" in note for note in result.notes)
