"""Source kinds whose values mean what the source says they mean, and nothing else.

Each rule stands beside the fact that it rests on. A value outside the source's own list is
rejected; it is never read as free text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from curate.license.answer import Parsed, accepted, ambiguous, rejected
from curate.license.text import parse_text
from curate.license.tools import CREATIVE_COMMONS, UNITS, by_unit, tool
from curate.license.urls import parse_url

JSON_LIMIT: Final = 4096
_ENTRY: Final = 200
"""Characters of the longest value that any source's own list may have."""
_ARR: Final = "!all_rights_reserved"


def _look_up(table: Mapping[str, str], text: str) -> Parsed:
    """Entries are an id, `!reason` to reject, or `?reason` to call ambiguous."""
    value = text.strip()
    if len(value) > _ENTRY:
        return rejected("malformed", value)
    entry = table.get(re.sub(r"\s+", " ", value).lower())
    if entry is None:
        return rejected("malformed" if value else "empty", value)
    if entry.startswith("!"):
        return rejected(entry[1:], value)
    if entry.startswith("?"):
        reason, _, family = entry[1:].partition(":")
        return ambiguous(reason, value, family or None)
    return accepted(tool(entry), "source_rule", value)


def _six(version: str) -> list[str]:
    """The six licences in the order in which Flickr numbers its first ones, from 1."""
    return [f"CC-BY{suffix}-{version}" for suffix in ("-NC-SA", "-NC", "-NC-ND", "", "-SA", "-ND")]


# flickr.photos.licenses.getInfo: 1–6 are version 2.0, 11–16 version 4.0 in another order
_FLICKR_ID: Final = {
    "0": _ARR,
    **{str(n): id_ for n, id_ in enumerate(_six("2.0"), 1)},
    "7": "!no_known_restrictions", "8": "PD-US-GOV", "9": "CC0-1.0", "10": "CC-PDM-1.0",
    "11": "CC-BY-4.0", "12": "CC-BY-SA-4.0", "13": "CC-BY-ND-4.0", "14": "CC-BY-NC-4.0",
    "15": "CC-BY-NC-SA-4.0", "16": "CC-BY-NC-ND-4.0",
}  # fmt: skip

# the names that Flickr's API gave to 1–6 have no version; only version 2.0 ever had them
_YFCC: Final = {
    "attribution-noncommercial-sharealike license": "CC-BY-NC-SA-2.0",
    "attribution-noncommercial license": "CC-BY-NC-2.0",
    "attribution-noncommercial-noderivs license": "CC-BY-NC-ND-2.0",
    "attribution license": "CC-BY-2.0",
    "attribution-sharealike license": "CC-BY-SA-2.0",
    "attribution-noderivs license": "CC-BY-ND-2.0",
}
# Flickr's other names: the list has none of them, so beside an address they contradict it
_YFCC_OTHERS: Final = {
    "all rights reserved": _ARR,
    "no known copyright restrictions": "!no_known_restrictions",
    "united states government work": "!rights_statement",
}
_FLICKR_NAME: Final = {
    "all rights reserved": _ARR,
    **_YFCC,
    "no known copyright restrictions": "!no_known_restrictions",
    "united states government work": "PD-US-GOV",
    "public domain dedication (cc0)": "CC0-1.0",
    "public domain mark": "CC-PDM-1.0",
    **{id_.replace("CC-", "cc ").replace("-2.0", " 2.0").replace("-4.0", " 4.0").lower(): id_
       for id_ in [*_six("2.0"), *_six("4.0")]},
    "cc0 1.0": "CC0-1.0", "cc0": "CC0-1.0", "public domain mark 1.0": "CC-PDM-1.0",
}  # fmt: skip

# iNaturalist's model: licences are version 4.0 since it says so of all; 8 and 9 differ from Flickr
_INAT_INT: Final = {
    "0": _ARR,
    **{str(n): id_ for n, id_ in enumerate(_six("4.0"), 1)},
    "7": "!no_known_restrictions", "8": "?versionless:GFDL", "9": "CC0-1.0",
}  # fmt: skip
_INAT_CODE: Final = {
    **{id_.removesuffix("-4.0").lower(): id_ for id_ in _six("4.0")},
    "cc0": "CC0-1.0", "pd": "?public_domain", "gfdl": "?versionless:GFDL", "c": _ARR,
    "all-rights-reserved": _ARR, "all rights reserved": _ARR, "null": "!no_licence",
}  # fmt: skip

# Common Crawl links reduced to their path element: no version, so only the single-version tools
_FONDANT: Final = {
    **{t.unit: f"?versionless:{t.family}" for t in CREATIVE_COMMONS if t.kind != "pddc"},
    "by-nc-nd": "?versionless:CC-BY-NC-ND", "certification": "?public_domain",
    "zero": "CC0-1.0", "cc0": "CC0-1.0", "mark": "CC-PDM-1.0", "pdm": "CC-PDM-1.0",
    "publicdomain": "?public_domain", "public domain": "?public_domain",
    "unknown": "!no_licence", "none": "!no_licence",
}  # fmt: skip

_SMITHSONIAN: Final = {"cc0": "CC0-1.0", "usage conditions apply": "!no_licence",
                       "not determined": "!no_licence"}  # fmt: skip
# the Met puts pictures of public domain works under CC0 and marks no others
_MET: Final = {"true": "CC0-1.0", "false": "!no_licence"}
_CLEVELAND: Final = {"cc0": "CC0-1.0", "copyrighted": _ARR}
_VICTORIA_NAMES: Final = {
    "public domain": "?public_domain", "public domain mark": "CC-PDM-1.0",
    "public domain mark 1.0": "CC-PDM-1.0", "cc0": "CC0-1.0", "all rights reserved": _ARR,
    **{f"cc {unit}": f"?versionless:CC-{unit.upper()}" for unit in
       ("by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd")},
}  # fmt: skip


def flickr_id(text: str) -> Parsed:
    return _look_up(_FLICKR_ID, text)


def flickr_name(text: str) -> Parsed:
    return _look_up(_FLICKR_NAME, text)


def yfcc100m_licensename(text: str) -> Parsed:
    return _look_up(_YFCC | _YFCC_OTHERS, text)


def inat_license_int(text: str) -> Parsed:
    return _look_up(_INAT_INT, text)


def inat_code(text: str) -> Parsed:
    return _look_up(_INAT_CODE, re.sub(r"[\s_]+", "-", text.strip()[: _ENTRY + 1]))


def fondant_license_type(text: str) -> Parsed:
    return _look_up(_FONDANT, text)


def smithsonian_access(text: str) -> Parsed:
    return _look_up(_SMITHSONIAN, text)


def met_is_public_domain(text: str) -> Parsed:
    return _look_up(_MET, text)


def cleveland_share_license_status(text: str) -> Parsed:
    return _look_up(_CLEVELAND, text)


def laion_license(text: str) -> Parsed:
    """An address found on the page, or `?` where there was none."""
    value = text.strip()
    if value in ("?", "", "nan", "None"):
        return rejected("no_licence" if value else "empty", value)
    return parse_url(value)


def json_of(text: str) -> object:
    """What a JSON text holds, or None. Large, deeply nested or repetitive text holds nothing."""
    if len(text) > JSON_LIMIT or text.count("{") + text.count("[") > 50:
        return None
    try:
        return json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return None


def object_of(text: str) -> dict[str, Any] | None:
    """A JSON object in a string, or None."""
    value = json_of(text)
    return value if isinstance(value, dict) else None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose fields have one value each: of two, nobody knows which is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is given twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class _NotText(ValueError):
    """A field holds a list, an object or a truth value where a text belongs."""


def _field(value: Mapping[str, Any], *names: str) -> str | None:
    """The first of some fields as text; None where all are missing or null."""
    for name in names:
        found = value.get(name)
        if found is None:
            continue
        if isinstance(found, bool) or not isinstance(found, (str, int, float)):
            raise _NotText(name)
        return str(found).strip()
    return None


def _json_rule(rule: Callable[[dict[str, Any], str], Parsed]) -> Callable[[str], Parsed]:
    """A rule over a JSON object in a string; what is none of the expected form is malformed."""

    def read(text: str) -> Parsed:
        value = object_of(text)
        if value is None:
            return rejected("malformed" if text.strip() else "empty", text)
        try:
            return rule(value, text)
        except _NotText:
            return rejected("malformed", text)

    return read


def museumvictoria_licence(text: str) -> Parsed:
    """The API's licence object (the address decides) or its short name."""
    value = object_of(text)
    if value is None and json_of(text) is not None and text.lstrip()[:1] == "[":
        return rejected("malformed", text)
    if value is None:
        named = _victoria_name(text)
        return named if named.reason != "malformed" or "/" not in text else parse_url(text)
    try:
        address = _field(value, "uri", "url")
        name = _field(value, "shortName", "name") or ""
    except _NotText:
        return rejected("malformed", text)
    if not address:
        return _victoria_name(name)
    found, named = parse_url(address), _victoria_name(name)
    families = {tool(a.id).family if a.id else a.family for a in (found, named)} - {None}
    bound = found.id is not None and tool(found.id).by
    against = named.reason == "all_rights_reserved" or len(families) > 1
    against |= bound and named.reason == "public_domain"
    return ambiguous("conflict", text) if found.id and against else found


def _victoria_name(name: str) -> Parsed:
    """A short name of the API's own list, or a licence's whole short name or title."""
    listed = _look_up(_VICTORIA_NAMES, name)
    if listed.reason != "malformed":
        return listed
    named = parse_text(name)
    return named if named.reason in ("identifier", "title") else listed


def openverse_pair(value: dict[str, Any], text: str) -> Parsed:
    """`{"license": "by-nc", "license_version": "2.0"}`; a licence address must agree with it."""
    units, versions = ("license", "license_type", "code"), ("license_version", "version")
    unit, version = _field(value, *units), _field(value, *versions)
    if _disagree(value, units) or _disagree(value, versions):
        return ambiguous("conflict", text)
    port = _field(value, "jurisdiction", "license_jurisdiction")
    pair = _unit_and_version(unit, version, port, text)
    return _agreeing(pair, unit, version, _field(value, "license_url", "url"), text)


def cc_triple(value: dict[str, Any], text: str) -> Parsed:
    """`{"unit": "by-nc", "version": "3.0", "jurisdiction": "de"}`."""
    groups = (
        ("unit", "license", "licence", "license_type", "type", "code", "tool"),
        ("version", "license_version"),
        ("jurisdiction", "jurisdiction_code", "port", "license_jurisdiction"),
    )
    unit, version, port = (_field(value, *names) for names in groups)
    if any(_disagree(value, names) for names in groups):
        return ambiguous("conflict", text)
    category = _field(value, "category")
    found = _unit_and_version(unit, version, port, text)
    if category and found.id and f"/{category.lower()}/" not in tool(found.id).url:
        return rejected("impossible", text)
    address = _field(value, "license_url", "licence_url", "url", "uri", "deed_url")
    named = parse_url(address) if address else None
    if found.id and named and named.reason != "not_a_licence_url" and named.id != found.id:
        return ambiguous("conflict", text)
    return found


def _disagree(value: Mapping[str, Any], names: tuple[str, ...]) -> bool:
    """Whether fields that mean the same say different things."""
    said = [_field({name: value[name]}, name) for name in names if name in value]
    plain = {_plain(one) for one in said if one}
    return len(plain) > 1


def _plain(name: str) -> str:
    folded = re.sub(r"[\s_]+", "-", name.lower().strip()).removeprefix("cc-")
    return _ALIASES.get(folded, folded)


def _agreeing(
    pair: Parsed, unit: str | None, version: str | None, address: str | None, text: str
) -> Parsed:
    """The address where it says the same, and a port beside it; a conflict where it does not."""
    if not address:
        return pair
    named = parse_url(address)
    if named.id is None:
        return ambiguous("conflict", text) if pair.id else pair
    found = tool(named.id)
    if pair.id is not None:
        same = (found.family, found.version) == (tool(pair.id).family, tool(pair.id).version)
    else:  # 2.1 exists as ports only: the address names which
        same = pair.reason == "port_missing" and (found.unit, found.version) == (unit, version)
    return named if same else ambiguous("conflict", text)


_PORTED: Final = {(t.unit, t.version) for t in CREATIVE_COMMONS if t.jurisdiction}
_ALIASES: Final = {"cc0": "zero", "pdm": "mark", "zero": "zero", "mark": "mark"}


def _unit_and_version(unit: str | None, version: str | None, port: str | None, text: str) -> Parsed:
    if not unit:
        return rejected("malformed", text)
    name = unit.lower().removeprefix("cc ").removeprefix("cc-")
    name = _ALIASES.get(name, name)
    if name not in UNITS:
        known = name in ("publicdomain", "pd", "public-domain")
        return ambiguous("public_domain", text) if known else rejected("impossible", text)
    place = (port or "").lower()
    place = (
        "" if place in ("unported", "generic", "international", "intl", "none", "null") else place
    )
    single = name in ("zero", "mark")
    if not version:
        family = (by_unit("zero", "1.0") if single else None) or None
        if single and not place and family:
            return accepted(by_unit(name, "1.0") or family, "source_rule", text)
        return ambiguous("versionless", text, f"CC-{name.upper()}")
    if name == "by-nc-nd" and version == "1.0":
        name = "by-nd-nc"
    found = by_unit(name, version, place)
    if found is not None:
        return accepted(found, "source_rule", text)
    if re.fullmatch("[1-4]", version):
        return ambiguous("incomplete_version", text)
    missing = not place and (name, version) in _PORTED
    return ambiguous("port_missing", text) if missing else rejected("impossible", text)


RULES: Final[Mapping[str, Callable[[str], Parsed]]] = {
    "flickr_id": flickr_id,
    "flickr_name": flickr_name,
    "yfcc100m_licensename": yfcc100m_licensename,
    "inat_license_int": inat_license_int,
    "inat_code": inat_code,
    "fondant_license_type": fondant_license_type,
    "smithsonian_access": smithsonian_access,
    "met_isPublicDomain": met_is_public_domain,
    "cleveland_share_license_status": cleveland_share_license_status,
    "museumvictoria_licence": museumvictoria_licence,
    "laion_license": laion_license,
    "openverse_pair": _json_rule(openverse_pair),
    "cc_triple": _json_rule(cc_triple),
}
