"""The credits as pages to read: ATTRIBUTION.html and attribution/page-0001.html onwards.

A page holds a bounded number of credits and loads nothing, so any number of pictures can be read
offline. What strangers wrote is escaped, and no address but one of the web becomes a link.
"""

from __future__ import annotations

import html
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from curate.provenance.credit import UNKNOWN_AUTHOR, WITHHELD, Credit
from curate.provenance.licensing import NOT_AUDITED

HTML: Final = "ATTRIBUTION.html"
FOLDER: Final = "attribution"
PAGE_ROWS: Final = 500
INDEX_ROWS: Final = 1000
"""Credits a page and pages an index, at most."""


@dataclass(frozen=True)
class Page:
    """What an index says of a page: its file's name, first and last key, number of credits."""

    name: str
    first: str
    last: str
    rows: int


class Pages:
    """Collects credits and writes them page by page; the index comes when the block ends well."""

    def __init__(self, root: Path, note: Sequence[str], warnings: Sequence[str] = ()) -> None:
        """`note` heads the index; `warnings` head it and every page, since pages travel alone."""
        self._root = root
        self._warnings = "".join(f"<p>{html.escape(line)}</p>\n" for line in warnings)
        self._note = "".join(f"<p>{html.escape(line)}</p>\n" for line in note) + self._warnings
        self._waiting: list[Credit] = []
        self._pages: list[Page] = []
        self._licenses: Counter[tuple[str, str | None]] = Counter()
        self._missing: Counter[str] = Counter()

    def __enter__(self) -> Pages:
        (self._root / FOLDER).mkdir(parents=True, exist_ok=True)
        return self

    def add(self, credits: Iterable[Credit]) -> None:
        """More credits, in order; full pages are written at once."""
        for credit in credits:
            self._licenses[
                credit.license_title or credit.license or NOT_AUDITED, credit.license_url
            ] += 1
            if credit.missing:
                self._missing[credit.missing] += 1
            if len(self._waiting) == PAGE_ROWS:
                self._write(more=True)
            self._waiting.append(credit)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:  # fmt: skip
        if kind is not None:
            return
        if self._waiting:
            self._write(more=False)
        named = [page.name for page in self._pages] + self._write_index()
        for path in (self._root / FOLDER).glob("*.html"):
            if path.name not in named:  # of an earlier version with more pictures
                path.unlink()

    def _write(self, *, more: bool) -> None:
        number, rows = len(self._pages) + 1, self._waiting
        links = [f'<a href="../{HTML}">Index</a>']
        if number > 1:
            links.append(f'<a rel="prev" href="{_name(number - 1)}">Previous page</a>')
        if more:
            links.append(f'<a rel="next" href="{_name(number + 1)}">Next page</a>')
        bar = f"<nav>{' '.join(links)}</nav>\n"
        body = f"<h1>Attribution, page {number:,}</h1>\n{self._warnings}{bar}{_HEAD}{''.join(map(_row, rows))}</tbody>\n</table>\n{bar}"
        _publish(self._root / FOLDER / _name(number), f"Attribution, page {number:,}", body)
        self._pages.append(Page(_name(number), rows[0].key, rows[-1].key, len(rows)))
        self._waiting = []

    def _write_index(self) -> list[str]:
        """ATTRIBUTION.html; with very many pages it names indexes, and those name the pages."""
        parts = [self._pages[at : at + INDEX_ROWS] for at in range(0, len(self._pages), INDEX_ROWS)]
        names = []
        listed = [(f"{FOLDER}/{page.name}", page) for page in self._pages]
        if len(parts) > 1:
            listed = []
            for number, part in enumerate(parts, 1):
                names.append(f"index-{number:04}.html")
                title = f"Attribution, index {number:,} of {len(parts):,}"
                body = f'<h1>{title}</h1>\n<nav><a href="../{HTML}">Index</a></nav>\n'
                body += _listing([(page.name, page) for page in part])
                _publish(self._root / FOLDER / names[-1], title, body)
                whole = Page(names[-1], part[0].first, part[-1].last, sum(p.rows for p in part))
                listed.append((f"{FOLDER}/{names[-1]}", whole))
        body = f"<h1>Attribution</h1>\n{self._note}{_licences(self._licenses)}{_lacking(self._missing)}{_listing(listed)}"
        _publish(self._root / HTML, "Attribution", body)
        return names


def _name(number: int) -> str:
    return f"page-{number:04}.html"


def _licences(counts: Counter[tuple[str, str | None]]) -> str:
    rows = "".join(
        f'<tr><td>{_link(url, title)}</td><td class="number">{rows:,}</td></tr>\n'
        for (title, url), rows in sorted(counts.items(), key=lambda item: (-item[1], item[0][0]))
    )
    return (
        "<h2>Licences</h2>\n<p>What each asks is in <a href=\"LICENSES.md\">LICENSES.md</a>.</p>\n"
        '<table class="narrow">\n<thead><tr><th>Licence</th><th class="number">Pictures</th></tr></thead>\n'
        f"<tbody>\n{rows}</tbody>\n</table>\n"
    )  # fmt: skip


def _lacking(missing: Counter[str]) -> str:
    """How many credits lack something that their licence asks for."""
    if not missing:
        return ""
    told = ", ".join(f"{what}: {rows:,}" for what, rows in sorted(missing.items()))
    return (
        f"<h2>Incomplete credits</h2>\n<p>Credits that lack what their licence asks for: {missing.total():,}, "
        f"because nobody stated it ({html.escape(told)}). The pages name each.</p>\n"
    )


def _listing(pages: Sequence[tuple[str, Page]]) -> str:
    rows = "".join(
        f'<tr><td><a href="{where}">{page.name.removesuffix(".html")}</a></td>'
        f"<td><code>{html.escape(page.first[:12])} … {html.escape(page.last[:12])}</code></td>"
        f'<td class="number">{page.rows:,}</td></tr>\n'
        for where, page in pages
    )
    return (
        "<h2>Pages</h2>\n<p>The same credits are in ATTRIBUTION.csv and ATTRIBUTION.parquet. "
        "<code>curate attribute DATASET IMAGE</code> finds the credit of one picture.</p>\n"
        '<table class="narrow">\n<thead><tr><th>Page</th><th>First and last key</th><th class="number">Credits</th>'
        f"</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
    )


def _row(credit: Credit) -> str:
    cells = [_work(credit), _author(credit), _terms(credit), html.escape(credit.changes),
             html.escape(credit.missing or "")]  # fmt: skip
    names = ("Picture", "Author", "Licence", "Changes", "Not stated")
    row = "".join(
        f'<td data-name="{name}">{cell}</td>' for name, cell in zip(names, cells, strict=True)
    )
    return f'<tr id="{html.escape(credit.key)}">{row}</tr>\n'


def _work(credit: Credit) -> str:
    title = "A picture" if credit.withheld else credit.title or "Untitled picture"
    return f"{_link(credit.source_url, title)}<br><code>{html.escape(credit.key[:16])}</code>"


def _author(credit: Credit) -> str:
    if credit.withheld:
        return html.escape(WITHHELD)
    told = _link(credit.creator_url, credit.creator or UNKNOWN_AUTHOR)
    if credit.parties:
        told += f"<br>credit to <bdi>{html.escape(credit.parties)}</bdi>"
    if credit.copyright_notice:
        told += f"<br><small><bdi>{html.escape(credit.copyright_notice)}</bdi></small>"
    return told


def _terms(credit: Credit) -> str:
    told = _link(credit.license_url, credit.license_title or credit.license or NOT_AUDITED)
    if credit.declared_by:
        told += f" declared by <bdi>{html.escape(credit.declared_by)}</bdi>"
    if credit.exception:
        told += f"<br><small>{html.escape(credit.exception)}</small>"
    return told


def _link(url: str | None, text: str) -> str:
    """A link if the address is of the web, else the text alone: `javascript:` is no address."""
    shown = (
        f"<bdi>{html.escape(text)}</bdi>"  # what a stranger wrote cannot turn what stands around it
    )
    if url is None or not url.lower().startswith(("http://", "https://")):
        return shown
    return f'<a href="{html.escape(url)}" rel="nofollow noreferrer">{shown}</a>'


def _publish(path: Path, title: str, body: str) -> None:
    """A whole page at once: readers see the old one or the new one."""
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temp.write_text(_PAGE.format(title=title, style=_STYLE, body=body), encoding="utf-8")
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)


_HEAD: Final = (
    "<table>\n<thead><tr><th>Picture</th><th>Author</th><th>Licence</th><th>Changes</th>"
    "<th>Not stated</th></tr></thead>\n<tbody>\n"
)
_STYLE: Final = """\
:root { color-scheme: light dark; --line: #d5d5d5; --soft: #666; --link: #0b57a4; }
@media (prefers-color-scheme: dark) { :root { --line: #3c3c3c; --soft: #a0a0a0; --link: #8ab8f0; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } p { max-width: 46rem; }
a { color: var(--link); } code, small { color: var(--soft); } code { font-size: .85em; }
nav { display: flex; gap: 1.2rem; margin: 1rem 0; }
table { border-collapse: collapse; width: 100%; } table.narrow { width: auto; min-width: 24rem; }
th, td { border-bottom: 1px solid var(--line); padding: .45rem .9rem .45rem 0; text-align: left;
  vertical-align: top; overflow-wrap: anywhere; }
th { font-weight: 600; white-space: nowrap; } .number { text-align: right; padding-right: 0; }
tr:target { outline: 2px solid var(--link); outline-offset: 2px; }
@media (max-width: 44rem) {
  table:not(.narrow) thead { display: none; } table:not(.narrow) td { border: 0; padding: .1rem 0; display: block; }
  table:not(.narrow) tr { border-bottom: 1px solid var(--line); display: block; padding: .6rem 0; }
  table:not(.narrow) td:empty { display: none; }
  table:not(.narrow) td::before { color: var(--soft); content: attr(data-name) ": "; }
}
"""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
{body}</body>
</html>
"""
