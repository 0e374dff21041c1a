"""One question, one answer: which licence does this value of this kind of source claim?

Never raises, never takes long: values above a kind's length limit are rejected unread. Imports
neither pyarrow nor pydantic, so the command line and the light install can use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from curate.license.answer import Parsed, rejected
from curate.license.markup import hf_card, parse_html
from curate.license.sources import RULES
from curate.license.spdx import parse_spdx
from curate.license.text import parse_text
from curate.license.urls import parse_url
from curate.license.wikimedia import wikidata_p275, wikimedia, wikimedia_wikitext

__all__ = ["JSON_KINDS", "RULES_VERSION", "SOURCE_KINDS", "Parsed", "license_token", "parse"]


def exif_copyright(text: str) -> Parsed:
    """The notice of an EXIF block, which ends with a zero byte or spaces."""
    return parse_text(text.rstrip("\x00 "))


_RULES: Final[Mapping[str, Callable[[str], Parsed]]] = {
    **RULES,
    "url": parse_url,
    "text": parse_text,
    "spdx": parse_spdx,
    "html": parse_html,
    "hf_card": hf_card,
    "wikimedia": wikimedia,
    "wikimedia_wikitext": wikimedia_wikitext,
    "wikidata_p275": wikidata_p275,
    "pd12m_license": parse_text,
    "exif_copyright": exif_copyright,
    "dc_rights": parse_text,
    "xmp_webstatement": parse_url,
    "xmp_usageterms": parse_text,
    "cc_license_xmp": parse_url,
    "declaration": parse_text,
}
SOURCE_KINDS: Final = tuple(_RULES)
JSON_KINDS: Final[Mapping[str, tuple[type, ...]]] = {
    **dict.fromkeys(
        ("cc_triple", "openverse_pair", "wikimedia", "museumvictoria_licence"), (dict,)
    ),
    "hf_card": (dict, list),
}
"""Kinds whose values are objects, or lists, in their source, so that they may come as such."""
HARD_LIMIT: Final = 65536
RULES_VERSION: Final = 3
"""Part of the fingerprint of every licence decision: a change of rules changes it."""


def parse(text: object, source_kind: str) -> Parsed:
    """The licence that a raw value claims, by the rules of its kind of source.

    Anything but a string is `not_text` (numbers and truth values are read as they are written);
    an unknown kind is `unknown_source_kind`. Nothing is raised.
    """
    rule = _RULES.get(source_kind) if isinstance(source_kind, str) else None
    if rule is None:
        return rejected("unknown_source_kind", str(source_kind)[:80])
    if isinstance(text, bool):
        text = str(text).lower()
    elif isinstance(text, int):
        text = str(text) if abs(text) < 10**9 else None
    if text is None:
        return rejected("empty")
    if not isinstance(text, str):
        return rejected("not_text", type(text).__name__)
    if len(text) > HARD_LIMIT:
        return rejected("too_long", text[:80])
    return rule(text)


def license_token(text: object, source_kind: str) -> str:
    """Canonical id, `AMBIGUOUS` or `REJECT`."""
    return parse(text, source_kind).token
