"""Licences of other families in text: GFDL, FAL, ODbL, PDDL, ODC-By, OGL, CDLA, Etalab, DL-DE, NLOD.

They are read before anything else and blanked out, so that nothing in them passes for CC.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from curate.license.answer import Parsed, accepted, ambiguous, rejected
from curate.license.tools import TOOLS

_V = r"[ ,(\-–/]*(?:version |ver\.? ?|v\.? ?)?(?P<version>[0-9]+(?:\.[0-9]+)*[a-z]?)?"
_LATER = (
    r"(?P<later> ?\+| (?:or|and) (?:any )?(?:later|newer)(?: versions?)?|-or-later|-only| only)?"
)
_LICENCE = r"licen[sc]e"

# family, the names it has, the versions it has, and the one meant where none is named
_NAMES: Final = (
    ("GFDL", rf"(?:gnu free documentation {_LICENCE}|gnu fdl|gfdl)", "1.1 1.2 1.3", ""),
    ("LAL", rf"(?:free art {_LICENCE}|licence art libre|fal|lal)", "1.2 1.3", ""),
    ("ODbL", rf"(?:open data commons )?(?:odc[- ])?(?:odbl|open database {_LICENCE}(?: ?\(?odbl\)?)?)",
     "1.0", "1.0"),
    ("PDDL", rf"(?:(?:odc|open data commons) )?(?:odc-)?(?:pddl|public domain dedication (?:and|&) "
             rf"{_LICENCE}(?: ?\(?pddl\)?)?)", "1.0", "1.0"),
    ("ODC-By", rf"(?:odc[- ]by|open data commons attribution {_LICENCE}(?: ?\(?odc[- ]by\)?)?)",
     "1.0", "1.0"),
    ("OGL-Canada", rf"(?:ogl|open government {_LICENCE}) ?[-–(,]? ?canada\)?", "2.0", ""),
    ("", rf"(?:ogl|open government {_LICENCE}) ?[-–(,]? ?(?:ontario|alberta|british columbia|bc|"
         r"nova scotia|yukon|toronto|edmonton)", "", ""),
    ("OGL-UK", rf"(?:uk )?(?:ogl|open government {_LICENCE}(?: ?\(?ogl\)?)?)[ ,\-(]*(?:uk\b)?",
     "1.0 2.0 3.0", ""),
    ("CDLA-Permissive", rf"(?:cdla|community data {_LICENCE} agreement)[ \-–]*permissive",
     "1.0 2.0", ""),
    ("CDLA-Sharing", rf"(?:cdla|community data {_LICENCE} agreement)[ \-–]*sharing", "1.0", ""),
    ("etalab", rf"(?:etalab(?: open {_LICENCE})?|licence ouverte(?: ?/ ?open licence)?)", "2.0", ""),
    ("DL-DE-BY", r"(?:dl-de[-/ ]by|datenlizenz deutschland[ \-–]*namensnennung)", "2.0", ""),
    ("DL-DE-ZERO", r"(?:dl-de[-/ ]zero|datenlizenz deutschland[ \-–]*zero)", "2.0", ""),
    ("NLOD", rf"(?:nlod|norwegian {_LICENCE} for open government data(?: ?\(nlod\))?)",
     "1.0 2.0", ""),
)  # fmt: skip
_PATTERNS: Final = tuple(
    (family, re.compile(rf"(?<![\w-]){names}(?![a-z]){_V}{_LATER}", re.I), versions.split(), only)
    for family, names, versions, only in _NAMES
)
_MAY_BE_THERE = re.compile(r"gfdl|gnu|art l|fal|lal|odbl|odc|database|pddl|dedication|ogl|govern|"
                           r"cdla|data|daten|etalab|ouverte|dl-de|nlod", re.I)  # fmt: skip


def read_families(text: str) -> tuple[str, list[tuple[int, int, Parsed]]]:
    """Every mention with its place, and the text with them blanked out."""
    found: list[tuple[int, int, Parsed]] = []
    if _MAY_BE_THERE.search(text):
        for start, end, answer in _mentions(text):
            if not any(start < other_end and other < end for other, other_end, _ in found):
                found.append((start, end, answer))
    for start, end, _ in found:
        text = text[:start] + " " * (end - start) + text[end:]
    return text, found


def _mentions(text: str) -> Iterator[tuple[int, int, Parsed]]:
    for family, pattern, versions, only in _PATTERNS:
        for match in pattern.finditer(text):
            yield match.start(), match.end(), _answer(family, match, versions, only)


def _answer(family: str, match: re.Match[str], versions: list[str], only: str) -> Parsed:
    said, matched = match["version"], match[0].strip()
    if not family:
        return rejected("unrecognised", matched)
    version = said or only
    if said and "." not in said and f"{said}.0" in versions and family.startswith("OGL"):
        version = f"{said}.0"
    if said and version not in versions:
        return rejected("impossible", matched)
    if not version or (family == "OGL-UK" and "1.0" in matched and "gov" not in matched.lower()):
        return ambiguous("versionless", matched, family)
    return accepted(TOOLS[f"{family}-{version}{_ending(family, match['later'])}"], "identifier",
                    matched)  # fmt: skip


def _ending(family: str, later: str | None) -> str:
    if family != "GFDL" or not later:
        return ""
    return "-only" if "only" in later.lower() else "-or-later"
