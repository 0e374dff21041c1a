"""The report in a real browser: pictures are drawn, nothing is loaded or run, every width fits.

The last test shows the harness a page that does what the report must not, and it notices.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import chromium
import pytest
from report_dataset import HOSTILE, write_dataset

from curate.demo.scoring import FaultScore
from curate.models.vae import Vae
from curate.report import write_report

pytestmark = pytest.mark.skipif(chromium.find() is None, reason="no Chromium on this machine")

SECTIONS = ["funnel", "found", "licences", "kept", "rejected", "clip", "duplicates", "latents",
            "training", "provenance"]  # fmt: skip
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
Look = Callable[[chromium.Tab], Awaitable[None]]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every section, latents decoded by the builtin VAE."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("page")
    vae = Vae.load("builtin:tiny")
    written = write_dataset(folder / "data", rows=260, vae=vae, vae_ref="builtin:tiny")
    run = folder / "run"
    run.mkdir()
    lines = [{"step": n, "loss": 1 / (n + 1), "seconds": n * 0.1} for n in range(1, 90)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    Image.new("RGB", (96, 48), "teal").save(run / "samples.png")
    scores = [FaultScore("relation swapped", 60, 2, 0.5, 0.03, "58 missed")]
    return write_report(written.root, training=run, scores=scores)


def see(page: Path, tmp_path: Path, look: Look) -> None:
    chromium.visit(page, tmp_path / "profile", look)


def test_every_section_and_picture_is_drawn_and_nothing_leaves(
    report: Path, tmp_path: Path
) -> None:
    async def look(tab: chromium.Tab) -> None:
        assert (
            await tab.evaluate("[...document.querySelectorAll('section')].map(s => s.id)")
            == SECTIONS
        )
        await tab.evaluate("Promise.all([...document.images].map(i => i.decode()))")
        images = await tab.evaluate(
            "[...document.images].map(i => [i.naturalWidth, i.naturalHeight, i.clientWidth, i.alt])"
        )
        assert len(images) > 100
        assert all(width > 0 and height > 0 and shown > 0 for width, height, shown, _ in images)
        assert all(alt for *_, alt in images)
        pairs = await tab.evaluate("document.querySelectorAll('.pair img').length")
        assert pairs == 16
        body = await tab.evaluate("document.body.innerText")
        assert HOSTILE in body
        assert "relation swapped" in body
        assert await tab.evaluate("document.title") == "shapes: dataset report"
        assert await tab.evaluate("document.scripts.length") == 0
        links = await tab.evaluate("[...document.links].map(a => a.protocol)")
        assert set(links) <= {"http:", "https:", "file:"}
        assert tab.requests == [report.resolve().as_uri()]

    see(report, tmp_path, look)


@pytest.mark.parametrize("width", [1440, 1000, 700, 360])
def test_no_width_needs_sideways_scrolling(report: Path, tmp_path: Path, width: int) -> None:
    async def look(tab: chromium.Tab) -> None:
        await tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                       deviceScaleFactor=1, mobile=False)  # fmt: skip
        assert await tab.evaluate("innerWidth") == width
        assert await tab.evaluate(OVERFLOW) <= 0
        shown = await tab.evaluate(
            "[...document.querySelectorAll('svg.chart')].filter(s => s.clientWidth > 0)"
            ".map(s => s.getBoundingClientRect().right)"
        )
        assert len(shown) == 2 and max(shown) <= width

    see(report, tmp_path, look)


def test_dark_and_print_have_their_own_colours(report: Path, tmp_path: Path) -> None:
    paper = "getComputedStyle(document.body).backgroundColor"

    async def look(tab: chromium.Tab) -> None:
        found = []
        for media, scheme in (("", "light"), ("", "dark"), ("print", "dark")):
            feature = [{"name": "prefers-color-scheme", "value": scheme}]
            await tab.call("Emulation.setEmulatedMedia", media=media, features=feature)
            found.append(await tab.evaluate(paper))
        assert found == ["rgb(251, 250, 247)", "rgb(23, 23, 21)", "rgb(255, 255, 255)"]

    see(report, tmp_path, look)


def test_the_keyboard_reaches_every_table_that_scrolls(report: Path, tmp_path: Path) -> None:
    async def look(tab: chromium.Tab) -> None:
        tables = await tab.evaluate(
            "[...document.querySelectorAll('table')].map(t => [t.caption?.innerText.length > 0,"
            "t.closest('.scroll[tabindex=\"0\"][role=region]') !== null])"
        )
        assert len(tables) >= 6
        assert all(captioned and reachable for captioned, reachable in tables)
        levels = await tab.evaluate(
            "[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])"
        )
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after - before <= 1 for before, after in pairwise(levels))

    see(report, tmp_path, look)


def test_the_policy_stops_what_escaping_would_have_let_through(
    report: Path, tmp_path: Path
) -> None:
    """The same attack planted in the page itself: stopped with the policy, noticed without it."""
    with counted() as (port, hits):
        attack = (
            f'<script>document.title = "owned"</script><img src="http://127.0.0.1:{port}/x.png">'
            f'<link rel="stylesheet" href="http://127.0.0.1:{port}/x.css">'
        )
        html = report.read_text(encoding="utf-8").replace("</body>", attack + "</body>")
        guarded, bare = tmp_path / "guarded.html", tmp_path / "bare.html"
        guarded.write_text(html, encoding="utf-8")
        start = html.index('<meta http-equiv="Content-Security-Policy"')
        bare.write_text(html[:start] + html[html.index(">", start) + 1 :], encoding="utf-8")
        titles: list[str] = []

        async def look(tab: chromium.Tab) -> None:
            titles.append(await tab.evaluate("document.title"))

        chromium.visit(guarded, tmp_path / "one", look)
        assert titles == ["shapes: dataset report"] and hits == []
        chromium.visit(bare, tmp_path / "two", look)
        assert titles[1] == "owned" and "/x.png" in hits


@contextmanager
def counted() -> Iterator[tuple[int, list[str]]]:
    """A loopback server that notes the path of every request."""
    hits: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1], hits
        finally:
            server.shutdown()
            thread.join(5)
