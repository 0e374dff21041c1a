"""What a page says of a picture's licence now, beside what was taken from it or from elsewhere.

A page whose bytes are those seen then is as it was. Any other is read: another licence, terms that
are no grant, or silence where a licence stood.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from curate.fetch.outcome import FetchSettings, Small
from curate.fetch.pages import reserving
from curate.license import parse
from curate.license.answer import REASONS, Parsed
from curate.license.page_signals import LIMIT_BYTES
from curate.license.reservations import Unreadable, x_robots_tag
from curate.provenance.recheck_log import Finding
from curate.provenance.recheck_rows import Row

OTHER_TERMS: Final = frozenset({
    "all_rights_reserved", "negated", "no_licence", "rights_statement", "not_a_content_licence",
    "not_a_licence_url", "lookalike", "impossible", "conflict", "contradiction",
})  # fmt: skip
"""Reasons of the parser that tell terms other than a grant of ours, on whatever page they stand."""
SILENT: Final = frozenset({
    "empty", "not_text", "too_long", "hidden_characters", "malformed", "unrecognised", "no_marker",
    "unmarked_link",
})  # fmt: skip
"""Reasons of the parser that tell no terms at all."""
NO_GRANT: Final = ("AMBIGUOUS", "REJECT")


def compared(told: Finding, old: str, got: Small, row: Row, *, was_evidence: bool) -> Finding:
    """The finding for a page. `old` is the licence taken: an id, a family, or one of NO_GRANT.

    A page that was never the evidence drifts only by naming another licence or other terms.
    """
    seen = {sha256 for url, sha256 in _seen(row) if url in (told.url, got.url)}
    if not seen.isdisjoint(_digests(got)):
        return told
    parsed = parse(text(got), "html")
    if old in (parsed.id, parsed.family):
        return told
    if parsed.id is None:
        return _without_grant(told, old, parsed, was_evidence=was_evidence)
    if parsed.id.startswith(f"{old}-") and parsed.id[len(old) + 1 :][:1].isdigit():
        return replace(told, note=f"the page says {parsed.id}")  # the version of what we hold
    return replace(told, kind="relicensed", old=old, new=parsed.id)


def _without_grant(told: Finding, old: str, parsed: Parsed, *, was_evidence: bool) -> Finding:
    nothing_new = replace(told, kind="not_compared")
    if old in NO_GRANT:
        return nothing_new
    told = replace(told, old=old, new=parsed.token, note=f"the page: {REASONS[parsed.reason]}")
    if parsed.reason in OTHER_TERMS:
        return replace(told, kind="relicensed")
    if not was_evidence or parse(parsed.matched or "", "url").id == old:
        return nothing_new
    return replace(told, kind="changed_evidence" if parsed.reason in SILENT else "relicensed")


def reserved(told: Finding, got: Small, settings: FetchSettings) -> Finding | None:
    """What a page reserves now: drift, or a note if the recipe asks no pages; None for nothing."""
    try:
        found = reserving(
            got, settings, lambda tags: x_robots_tag(tags, user_agents=settings.robots_names)
        )
    except Unreadable:
        return None
    if found is None:
        return None
    if settings.landing_pages == "skip":
        note = f"the page reserves: {found}; the recipe skips landing pages"
        return replace(told, kind="same", note=note[:2000])
    return replace(told, kind="newly_reserved", new="reservation:landing_page", note=found[:2000])


def _seen(row: Row) -> Iterator[tuple[str, str]]:
    """Addresses with the digests of what they gave when the row was taken, as far as known."""
    for claim in row.claims:
        if claim["response_sha256"] is not None:
            yield claim["final_url"] or claim["locator"] or "", claim["response_sha256"]
    for look in json.loads(row.reservations or "[]"):
        if look["sha256"] is not None and look["status"] == 200:
            yield look["url"], look["sha256"]


def _digests(got: Small) -> Sequence[str]:
    """Of the whole page, and of as much as is read for reservations."""
    whole, read = got.body, got.body[:LIMIT_BYTES]
    return [hashlib.sha256(body).hexdigest() for body in (whole, read)]


def text(got: Small) -> str:
    """A page's text in the charset that it was sent with."""
    charset = got.content_type.lower().partition("charset=")[2].split(";")[0].strip(" \"'")
    try:
        return got.body.decode(charset or "utf-8", "replace")
    except LookupError:
        return got.body.decode("utf-8", "replace")
