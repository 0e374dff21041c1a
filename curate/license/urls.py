"""Licence addresses, read by grammar: exact hosts, exact paths, nothing decoded, nothing guessed.

A licence address inside another address, an encoded or dotted path, a user name before the host
or one odd letter in it: never accepted.
"""

from __future__ import annotations

import re
from typing import Final

from curate.license.answer import Parsed, accepted, ambiguous, rejected
from curate.license.tools import CREATIVE_COMMONS, UNITS, Tool, by_unit, find, tool

LIMIT: Final = 2048

_SHAPE = re.compile(
    r"(?:(?P<scheme>https?)://|//)?(?P<authority>[a-z0-9.-]+(?::(?P<port>80|443))?)"
    r"(?P<path>/[a-z0-9._+/@-]*)?"
    r"(?:\?(?P<query>[a-z0-9._~=&;+-]*))?(?:\#(?P<fragment>[a-z0-9._~-]*))?",
    re.IGNORECASE | re.ASCII,
)
_LANGUAGE = r"[a-z]{2,3}(?:[_@-][a-z]{2,8}){0,2}"
_DOCUMENT = re.compile(rf"rdf|deed(?:\.{_LANGUAGE})?|legalcode(?:-plain|\.txt|\.{_LANGUAGE})?")
_PRETENDING = re.compile(
    r"creative.?comm|licen[sc]es?[/\\%](?:by|nc|nd|sa|sampling)|publicdomain[/\\%](?:zero|mark)",
    re.I,
)
_MEANINGFUL_QUERY = re.compile(r"(?:^|&)(?:jurisdiction|version|license|licence|l|u|url)=", re.I)
_PORTS_ONLY = {(t.unit, t.version) for t in CREATIVE_COMMONS if t.jurisdiction}

_CANONICAL: Final = {
    scheme + t.url.removeprefix("https:").rstrip("/") + end: t
    for t in CREATIVE_COMMONS for scheme in ("https:", "http:") for end in ("/", "")
}  # fmt: skip
"""The forms that most columns hold, found without reading them."""

_CC_HOSTS = frozenset({"creativecommons.org", "www.creativecommons.org"})
_SPDX_HOSTS = frozenset({"spdx.org", "www.spdx.org"})
_RIGHTS_HOSTS = frozenset({"rightsstatements.org", "www.rightsstatements.org"})
_BADGE_HOSTS = frozenset({"i.creativecommons.org", "licensebuttons.net", "l.creativecommons.org"})

# whole path without slash at the end, per host without "www." → id or family
_OTHER_PATHS: Final[dict[str, dict[str, str]]] = {
    "opendatacommons.org": {
        **dict.fromkeys(["/licenses/pddl", "/licenses/pddl/1-0", "/licenses/pddl/1.0"], "PDDL-1.0"),
        **dict.fromkeys(["/licenses/by", "/licenses/by/1-0", "/licenses/by/1.0"], "ODC-By-1.0"),
        **dict.fromkeys(["/licenses/odbl", "/licenses/odbl/1-0", "/licenses/odbl/1.0"], "ODbL-1.0"),
    },
    "gnu.org": {
        **dict.fromkeys(["/licenses/fdl-1.3.html", "/licenses/fdl-1.3.en.html",
                         "/licenses/fdl-1.3"], "GFDL-1.3"),
        **{f"/licenses/old-licenses/fdl-1.{n}{end}": f"GFDL-1.{n}"
           for n in (1, 2) for end in ("", ".html", ".en.html")},
        **dict.fromkeys(["/copyleft/fdl.html", "/licenses/fdl.html", "/licenses/fdl"], "?GFDL"),
    },
    "artlibre.org": {
        **dict.fromkeys(["/licence/lal/licence-art-libre-12"], "LAL-1.2"),
        **dict.fromkeys(["", "/licence/lal", "/licence/lal/en", "/licence/lal/de"], "?LAL"),
    },
    "nationalarchives.gov.uk": {
        f"/doc/open-government-licence/version/{n}": f"OGL-UK-{n}.0" for n in (1, 2, 3)
    } | {"/doc/open-government-licence": "?OGL-UK"},
    "cdla.dev": {
        "/permissive-1-0": "CDLA-Permissive-1.0", "/permissive-2-0": "CDLA-Permissive-2.0",
        "/sharing-1-0": "CDLA-Sharing-1.0",
    },
}  # fmt: skip


def parse_url(text: str) -> Parsed:
    """The tool an address names, or why it names none. `text` is the address and nothing else."""
    url = text.strip(" \t\r\n\ufeff\u200b")
    url = url[1:-1] if url[:1] == "<" and url[-1:] == ">" else url
    found = _CANONICAL.get(url)
    if found is not None:
        return accepted(found, "url", url)
    if not url:
        return rejected("empty")
    if len(url) > LIMIT:
        return rejected("too_long", url)
    shape = _SHAPE.fullmatch(url)
    if shape is None or _wrong_port(shape):
        return rejected(_why_not(url), url)
    host = shape["authority"].partition(":")[0].lower()
    path = shape["path"] or ""
    if (
        _MEANINGFUL_QUERY.search(shape["query"] or "")
        or "commons" in (shape["query"] or "").lower()
    ):
        return rejected("lookalike", url)
    if host in _CC_HOSTS:
        return _creative_commons(path.lower(), url)
    if host in _SPDX_HOSTS:
        return _spdx_page(path, url)
    if host in _RIGHTS_HOSTS:
        return rejected("rights_statement", url)
    plain = host.removeprefix("www.")
    if plain in _OTHER_PATHS:
        return _other(_OTHER_PATHS[plain].get(path.lower().rstrip("/")), url)
    return rejected("not_a_licence_url" if host in _BADGE_HOSTS else _why_not(url), url)


def _wrong_port(shape: re.Match[str]) -> bool:
    ports = {"http": "80", "https": "443", "": "443"}
    return shape["port"] is not None and shape["port"] != ports[(shape["scheme"] or "").lower()]


def _why_not(url: str) -> str:
    host = re.sub(r"^[a-z]*:?/*", "", url.lower()).split("/")[0]
    return "lookalike" if _PRETENDING.search(url) or not host.isascii() else "not_a_licence_url"


def _creative_commons(path: str, url: str) -> Parsed:
    parts = path.removesuffix("/").split("/")[1:]
    if any(part in ("", ".", "..") for part in parts):
        return rejected("lookalike" if len(parts) > 1 else "not_a_licence_url", url)
    if len(parts) > 1 and _DOCUMENT.fullmatch(parts[-1]):
        parts = parts[:-1]
    if parts == ["licenses", "publicdomain"]:
        return accepted(tool("CC-PDDC"), "url", url)
    if parts == ["publicdomain"]:
        return ambiguous("public_domain", url)
    if len(parts) < 2 or parts[0] not in ("licenses", "publicdomain"):
        return rejected("not_a_licence_url", url)
    return _tool_path(parts[0], parts[1], parts[2:], url)


def _tool_path(category: str, unit: str, rest: list[str], url: str) -> Parsed:
    public = unit in ("zero", "mark", "certification")
    if unit not in UNITS or public != (category == "publicdomain") or len(rest) > 2:
        return rejected("impossible", url)
    if not rest:
        return _versionless(unit, url)
    version, port = rest[0], rest[1] if len(rest) == 2 else ""
    found = by_unit(unit, version, port)
    if found is not None:
        return accepted(found, "url", url)
    if not port and (unit, version) in _PORTS_ONLY:
        return ambiguous("port_missing", url, _family(unit))
    return rejected("impossible", url)


def _versionless(unit: str, url: str) -> Parsed:
    only = by_unit(unit, "1.0") if unit in ("zero", "mark") else None
    return accepted(only, "url", url) if only else ambiguous("versionless", url, _family(unit))


def _family(unit: str) -> str:
    return next(t.family for t in CREATIVE_COMMONS if t.unit == unit)


def _spdx_page(path: str, url: str) -> Parsed:
    page = re.fullmatch(r"/licenses/([A-Za-z0-9.-]+?)(?:\.html|\.json|\.txt)?/?", path)
    found = find(page[1]) if page else None
    if found is None or found.spdx != found.id:
        return rejected("not_a_licence_url", url)
    return accepted(found, "url", url)


def _other(name: str | None, url: str) -> Parsed:
    if name is None:
        return rejected("not_a_licence_url", url)
    if name.startswith("?"):
        return ambiguous("versionless", url, name[1:])
    found: Tool = tool(name)
    return accepted(found, "url", url)
