"""Ask again for what kept rows rest on, through the guarded gateway's own code, and compare.

The picture: is it there, are its bytes the same, does anything reserve it now. Each claim that came
from an address: does it name the same licence. The landing page: does it name other terms, or
reserve the use.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from curate.fetch import guard
from curate.fetch.outcome import FetchSettings, Look, Outcome, Refusal, Small
from curate.fetch.web import Web
from curate.license import parse
from curate.license.reservations import x_robots_tag
from curate.provenance import recheck_pages as pages
from curate.provenance.recheck_log import Finding
from curate.provenance.recheck_rows import Row
from curate.sources import openverse, wikimedia

MOST_BYTES: Final = 2 * 1024 * 1024
CLAIM_READERS: Final[Mapping[str, Callable[[bytes, str], str | None]]] = {
    "openverse_pair": openverse.claim_from_response,
    "wikimedia": wikimedia.claim_from_response,
}
"""Claim kind → (response, source id) → the claim's value now. Without one, HTML is parsed as a page
and other responses are compared by their hash."""
_HTML: Final = ("text/html", "application/xhtml+xml")
_GONE: Final = (404, 410)


def ask_again(rows: Sequence[Row], settings: FetchSettings) -> list[Finding]:
    """Findings in row order: picture, claims, landing page, as far as a row has addresses."""
    return asyncio.run(_ask_all(rows, settings))


async def _ask_all(rows: Sequence[Row], settings: FetchSettings) -> list[Finding]:
    def judge(values: list[str]) -> Sequence[str]:
        return x_robots_tag(values, user_agents=settings.robots_names)

    web, turns = Web(settings, judge=judge), asyncio.Semaphore(settings.threads)

    async def one(row: Row) -> list[Finding]:
        async with turns:
            return await _Asker(web, settings, row).findings()

    try:
        found = await asyncio.gather(*(one(row) for row in rows))
    finally:
        await web.close()
    return [finding for findings in found for finding in findings]


@dataclass
class _Asker:
    """Asks for one row; an address that serves twice is asked once."""

    web: Web
    settings: FetchSettings
    row: Row
    known: dict[tuple[str, bool], Small | Refusal] = field(default_factory=dict)

    async def findings(self) -> list[Finding]:
        found = [await self._picture(self.row.url)] if _is_address(self.row.url) else []
        found += [await self._claim(claim, url) for claim, url in _claims(self.row)]
        if _is_address(self.row.landing_url):
            found += await self._landing_page(self.row.landing_url or "")
        return found

    async def _picture(self, url: str | None) -> Finding:
        outcome = await self.web.fetch(url or "", self.row.landing_url)
        told = replace(
            self._finding("picture", url or ""),
            status=outcome.status, sha256=outcome.sha256, at=outcome.observed_at,
        )  # fmt: skip
        return _judged_picture(told, outcome, self.row.original_sha256)

    async def _claim(self, claim: Mapping[str, Any], url: str) -> Finding:
        read = CLAIM_READERS.get(claim["kind"])
        told, got = await self._ask("claim", url, judged=read is None)
        if got is None:
            return told
        old = parse(claim["value"] or "", claim["kind"])
        if read is not None:
            value = read(got.body, self.row.source_id or "")
            if value is None:
                return replace(told, kind="gone", note="the response does not name the picture")
            return _compared(told, old.token, parse(value, claim["kind"]).token)
        if _is_html(got):
            known = old.id or old.family or old.token
            return pages.compared(told, known, got, self.row, was_evidence=True)
        return _hash_compared(told, claim, url)

    async def _landing_page(self, url: str) -> list[Finding]:
        """What the page says of the licence, and a finding more if it reserves the use now."""
        told, got = await self._ask("landing page", url, judged=True)
        if got is None:
            return [told]
        reserved = pages.reserved(told, got, self.settings)
        if not _is_html(got) or self.row.license is None:
            return [reserved or replace(told, kind="not_compared")]
        held = self._held_a_claim(got)
        found = pages.compared(told, self.row.license, got, self.row, was_evidence=held)
        if reserved is None:
            return [found]
        return [reserved, found] if found.drifted else [reserved]

    def _held_a_claim(self, page: Small) -> bool:
        """Whether a claim of the row came from this page, or points to it."""
        addresses = {page.url, self.row.landing_url}
        return any(
            claim["locator"] in addresses or claim["final_url"] in addresses
            for claim in self.row.claims
        )

    async def _ask(self, what: Any, url: str, *, judged: bool) -> tuple[Finding, Small | None]:
        """The answer if there is one that can be compared, else the finding that says why not.

        An interface is asked as its own rules have it; robots.txt speaks of pages.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = replace(self._finding(what, url), at=at)
        got = self.known.get((url, judged)) or await self._get(url, judged=judged)
        self.known[url, judged] = got
        if isinstance(got, Refusal):
            why = f"{got.reason}: {got.text}" if got.text else got.reason
            return replace(told, kind="unreachable", note=why), None
        told = replace(told, status=got.status, sha256=hashlib.sha256(got.body).hexdigest())
        if got.status in _GONE:
            return replace(told, kind="gone"), None
        if got.status != 200 or len(got.body) > MOST_BYTES:
            why = f"http:{got.status}" if got.status != 200 else f"more than {MOST_BYTES:,} bytes"
            return replace(told, kind="unreachable", note=why), None
        return told, got

    async def _get(self, url: str, *, judged: bool) -> Small | Refusal:
        looks: list[Look] = []
        try:
            address = guard.parse_url(url)
            if judged:
                return await self.web.judged_file(address, MOST_BYTES, looks)
            return await self.web.file(address, MOST_BYTES)
        except Refusal as refusal:
            return refusal

    def _finding(self, what: Any, url: str) -> Finding:
        return Finding(key=self.row.key, what=what, kind="same", url=url)


def _is_address(url: str | None) -> bool:
    return (url or "").lower().startswith(("http://", "https://"))


def _claims(row: Row) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Claims that can be asked for again, with their address. Dumps are not fetched anew."""
    for claim in row.claims:
        if _is_address(claim["locator"]):
            yield claim, claim["locator"]
        elif _is_address(claim["final_url"]) and claim["http_status"] is not None:
            yield claim, claim["final_url"]


def _judged_picture(told: Finding, outcome: Outcome, original_sha256: str | None) -> Finding:
    reason = outcome.reason or ""
    if outcome.verdict is None:
        if original_sha256 is None:
            return replace(told, kind="not_compared")
        same = outcome.sha256 == original_sha256
        if same:
            return told
        return replace(told, kind="changed_bytes", old=original_sha256, new=outcome.sha256)
    if reason.startswith("reservation:"):
        return replace(told, kind="newly_reserved", new=reason, note=outcome.text)
    if reason in {f"http:{status}" for status in _GONE}:
        return replace(told, kind="gone", note=reason)
    if reason == "too_large:bytes":
        return replace(told, kind="changed_bytes", old=original_sha256, note=reason)
    note = f"{reason}: {outcome.text}" if outcome.text else reason
    return replace(told, kind="unreachable", note=note)


def _compared(told: Finding, old: str, new: str) -> Finding:
    return told if old == new else replace(told, kind="relicensed", old=old, new=new)


def _hash_compared(told: Finding, claim: Mapping[str, Any], url: str) -> Finding:
    """A response that nobody here can read is compared with the one that held the claim."""
    known = claim["response_sha256"]
    if known is None or claim["final_url"] not in (None, url):
        return replace(told, kind="not_compared")
    if known == told.sha256:
        return told
    return replace(told, kind="changed_evidence", old=known, new=told.sha256)


def _is_html(got: Small) -> bool:
    return got.content_type.partition(";")[0].strip().lower() in _HTML
