"""SPDX ids and expressions: `CC-BY-4.0`, `GFDL-1.2-or-later OR CC-BY-SA-3.0`.

OR elects an arm and keeps the expression; AND binds to both sides, so two different licences are
a conflict; WITH changes the terms, so the licence alone is not the answer.
"""

from __future__ import annotations

import re
from typing import Final

from curate.license.answer import Parsed, accepted, ambiguous, elect, rejected
from curate.license.tools import FAMILIES, TOOLS, Tool, find
from curate.license.words import word_set

LIMIT: Final = 1000
_DEPTH: Final = 20
_TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z0-9.:-]+\+?)")
_FAMILIES: Final = {name.lower(): name for name in FAMILIES} | {
    "gfdl": "GFDL", "odbl": "ODbL", "pddl": "PDDL", "odc-by": "ODC-By", "lal": "LAL", "fal": "LAL",
    "cc": "CC",
}  # fmt: skip
_ONE_VERSION: Final = {"cc0": "CC0-1.0", "cc-pdm": "CC-PDM-1.0", "pddl": "PDDL-1.0",
                       "odbl": "ODbL-1.0", "odc-by": "ODC-By-1.0"}  # fmt: skip
SOFTWARE: Final = word_set(
    "mit mit-0 isc 0bsd apache apache-1.1 apache-2.0 bsd bsd-2-clause bsd-3-clause gpl gpl-2.0 "
    "gpl-2.0-only gpl-2.0-or-later gpl-3.0 gpl-3.0-only gpl-3.0-or-later lgpl lgpl-2.1 "
    "lgpl-2.1-only lgpl-2.1-or-later lgpl-3.0 lgpl-3.0-only lgpl-3.0-or-later agpl-3.0 "
    "agpl-3.0-only agpl-3.0-or-later mpl-2.0 unlicense wtfpl zlib epl-1.0 epl-2.0 eupl-1.2 "
    "artistic-2.0 bsl-1.0 ofl-1.1 openrail creativeml-openrail-m"
)
_NOTHING: Final = frozenset({"NONE", "NOASSERTION"})
_FROM_REF = {t.spdx.lower(): t for t in TOOLS.values() if t.spdx.startswith("LicenseRef-")}


class _Malformed(ValueError):
    """The expression does not follow the SPDX grammar."""


def parse_spdx(text: str) -> Parsed:
    """The tool of an SPDX id or expression, operators in either letter case."""
    value = text.strip()
    if not value:
        return rejected("empty")
    if len(value) > LIMIT:
        return rejected("too_long", value)
    try:
        listed = _tokens(value)
        answer, rest = _or(listed, 0)
        if rest or (len(listed) > 1 and answer.id and _NOTHING & {t.upper() for t in listed}):
            raise _Malformed
    except _Malformed:
        return rejected("malformed", value)
    return answer


def arms(expression: str) -> list[Parsed]:
    """The answer for every id in a well-formed expression, operators aside."""
    listed = _tokens(expression)
    return [spdx_id(token) for token in listed if token.upper() not in ("AND", "OR", "WITH")]


def spdx_id(token: str) -> Parsed:
    """The answer for one id, without operators."""
    folded = token.removesuffix("+").lower()
    later = "+" if token.endswith("+") else ""
    found: Tool | None = _FROM_REF.get(folded) or find(_ONE_VERSION.get(folded, folded))
    if found is not None and later and find(f"{found.id}-or-later"):
        found, later = find(f"{found.id}-or-later") or found, ""
    if found is not None:
        return accepted(found, "spdx", token, found.spdx + later)
    if folded in _FAMILIES:
        reason = "no_tool" if folded == "cc" else "versionless"
        return ambiguous(reason, token, None if folded == "cc" else _FAMILIES[folded])
    if folded in ("none", "noassertion", "unknown"):
        return rejected("no_licence", token)
    if folded in SOFTWARE:
        return rejected("not_a_content_licence", token)
    return rejected("impossible" if folded.startswith("cc") else "unrecognised", token)


def _tokens(value: str) -> list[str]:
    found, position = [], 0
    while position < len(value):
        token = _TOKEN.match(value, position)
        if token is None:
            raise _Malformed
        found.append(token[1])
        position = token.end()
    return found


def _or(tokens: list[str], depth: int) -> tuple[Parsed, list[str]]:
    first, rest = _and(tokens, depth)
    arms = [first]
    while rest and rest[0].upper() == "OR":
        arm, rest = _and(rest[1:], depth)
        arms.append(arm)
    if len(arms) == 1:
        return first, rest
    return elect(arms, " OR ".join(arm.matched or "" for arm in arms), _expression(arms)), rest


def _expression(arms: list[Parsed]) -> str:
    return " OR ".join(dict.fromkeys(arm.expression or arm.matched or "" for arm in arms))


def _and(tokens: list[str], depth: int) -> tuple[Parsed, list[str]]:
    first, rest = _with(tokens, depth)
    while rest and rest[0].upper() == "AND":
        other, rest = _with(rest[1:], depth)
        both = f"{first.matched or ''} AND {other.matched or ''}"
        if (first.status, first.id) != (other.status, other.id) or first.id is None:
            known = "ambiguous" in (first.status, other.status) or first.id or other.id
            first = ambiguous("conflict", both) if known else rejected(first.reason, both)
    return first, rest


def _with(tokens: list[str], depth: int) -> tuple[Parsed, list[str]]:
    if not tokens or depth > _DEPTH:
        raise _Malformed
    head, rest = tokens[0], tokens[1:]
    if head == "(":
        answer, rest = _or(rest, depth + 1)
        if not rest or rest[0] != ")":
            raise _Malformed
        return answer, rest[1:]
    if head == ")" or head.upper() in ("AND", "OR", "WITH"):
        raise _Malformed
    if rest and rest[0].upper() == "WITH":
        if len(rest) < 2:
            raise _Malformed
        return ambiguous("contradiction", f"{head} WITH {rest[1]}"), rest[2:]
    return spdx_id(head), rest
