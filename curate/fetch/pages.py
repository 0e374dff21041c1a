"""Landing pages: what the page around a picture reserves, asked before the picture.

A page's fields and its meta elements count; TDMRep itself ties a meta element to the page alone, so
reading it for the picture is our own caution. A page that robots.txt closes to us is not asked, and
that alone says nothing of the picture.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from yarl import URL

from curate.fetch import guard
from curate.fetch.origins import unknown
from curate.fetch.outcome import FetchSettings, Look, Refusal, Small
from curate.fetch.response import retryable_status
from curate.license.page_signals import LIMIT_BYTES, PageSignals, page_signals
from curate.license.reservations import TDM_RESERVATION, Unreadable
from curate.license.tdmrep import Declaration, tdm_field

REASON: Final = "landing_page"
_CLOSED: Final = "reservation:robots_txt"
_HTML: Final = ("text/html", "application/xhtml+xml")

Ask = Callable[[URL, int, list[Look]], Awaitable[Small]]
"""(URL, most bytes, looks) → the answer; raises Refusal, also where its origin reserves it."""
Judge = Callable[[list[str]], Sequence[str]]


class LandingPages:
    """Judges the landing pages that one gateway's rows name."""

    def __init__(self, settings: FetchSettings, ask: Ask, judge: Judge) -> None:
        self._settings, self._ask, self._judge = settings, ask, judge

    async def check(self, landing_page: str | None, picture: URL, looks: list[Look]) -> None:
        """Return if the page reserves nothing; rows without a page pass, and `looks` says so.

        Raises Refusal: rejected if the page or its origin reserves, failed if it cannot be read.
        """
        if not landing_page:
            looks.append(Look("", "no landing page is known"))
            return
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            url = guard.parse_url(landing_page)
            if _asked(url) == _asked(picture):
                looks.append(Look(landing_page, "the landing page is the picture's own address"))
                return
            page = await self._ask(url, LIMIT_BYTES, looks)
        except Refusal as refusal:
            if refusal.reason == _CLOSED:
                looks.append(Look(landing_page, f"not asked, closed to us: {refusal.text}", at=at))
                return
            looks.append(Look(landing_page, refusal.reason, at=at))
            raise _of_page(landing_page, refusal) from refusal
        refused = self._refusal(landing_page, page)
        sha256 = hashlib.sha256(page.body[:LIMIT_BYTES]).hexdigest()
        answer = (refused.text or refused.reason) if refused else "not reserved"
        looks.append(Look(page.url, answer, page.status, sha256, at))
        if refused is not None:
            raise refused

    def _refusal(self, landing_page: str, page: Small) -> Refusal | None:
        """What of the page keeps us from the picture, if anything does."""
        if page.status in self._settings.no_file_statuses:
            return None
        if page.status != 200:
            again = retryable_status(page.status)
            return unknown(REASON, f"{landing_page}: http:{page.status}", retryable=again)
        try:
            told = reserving(page, self._settings, self._judge)
        except Unreadable as error:
            return unknown(REASON, f"{landing_page}: {error}")
        if told is None:
            return None
        return Refusal(f"reservation:{REASON}", verdict="rejected", text=told[:2000])


def reserving(page: Small, settings: FetchSettings, judge: Judge) -> str | None:
    """The directive or declaration of a page that reserves what we honour. Raises Unreadable."""
    signals = _signals(page, settings.robots_names)
    directives = [*judge(list(page.robots_tags)), *signals.directives]
    honoured = set(settings.honour_reservations)
    if honoured.intersection(directives):
        return "; ".join(text for text in (*page.robots_tags, signals.text) if text)
    if TDM_RESERVATION not in honoured:
        return None
    told = _nearest(signals.tdm, tdm_field(page.tdm_reservations, page.tdm_policies))
    return told.text if told is not None and told.reserved else None


def _asked(url: URL) -> tuple[str, str | None, int | None, str]:
    """What of an address is asked for."""
    return url.scheme, url.host, url.port, url.raw_path_qs


def _nearest(*declared: Declaration | None) -> Declaration | None:
    """The page's own declaration supersedes that of its fields."""
    return next((told for told in declared if told is not None), None)


def _signals(page: Small, names: Sequence[str]) -> PageSignals:
    kind, _, parameters = page.content_type.partition(";")
    if kind.strip().lower() not in _HTML:
        return PageSignals((), None, "")
    charset = parameters.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    return page_signals(page.body[:LIMIT_BYTES], names=names, charset=charset or "utf-8")


def _of_page(landing_page: str, refusal: Refusal) -> Refusal:
    """What it means for the picture that the page could not be asked."""
    if refusal.verdict == "rejected" and refusal.reason.startswith("reservation:"):
        text = f"{landing_page}: {refusal.reason}, {refusal.text}"
        return Refusal(f"reservation:{REASON}", verdict="rejected", text=text[:2000])
    return unknown(
        REASON, f"{landing_page}: {refusal.reason}", retryable=refusal.retryable
    )  # fmt: skip
