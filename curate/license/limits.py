"""Words that name no licence and yet speak against one: terms of limits, and rights withheld.

The parser only says that such a text names no licence. Beside a grant it matters what it says.
"""

from __future__ import annotations

import re
from typing import Final

from curate.license.tools import Tool

_NONCOMMERCIAL: Final = re.compile(
    r"\bnon[- ]?commercial(?: (?:use|uses|purposes?|usage))?(?: is| are)?(?: \w+)? only\b"
    r"|\bonly (?:for )?non[- ]?commercial|\bfor non[- ]?commercial (?:use|purposes?)\b"
    r"|\bno commercial (?:use|usage|reuse|purposes?)\b|\bnot (?:for|to be used for) commercial\b"
    r"|\bcommercial (?:use|usage)(?: is| are)?(?: strictly)? (?:not|prohibited|forbidden|excluded)\b"
    r"|\b(?:nur|ausschließlich) (?:für )?nicht[- ]?kommerziell|\bkeine kommerzielle"
    r"|\b(?:usage|utilisation) non[- ]commerciale?\b|\buso no comercial\b",
    re.IGNORECASE,
)
_NO_DERIVATIVES: Final = re.compile(
    r"\bno[- ]?deriv(?:ative|ation|)s?\b(?! (?:were|was|made|exist))"
    r"|\b(?:may|must|can|do|should) ?not (?:be )?(?:modif|alter|crop|edit|chang|adapt)"
    r"|\bno (?:modifications?|alterations?|adaptations?|changes) (?:are )?(?:allowed|permitted)\b",
    re.IGNORECASE,
)
_NARROW: Final = re.compile(
    r"\b(?:personal|private|editorial|educational|research|internal|classroom|academic)"
    r"(?: (?:use|uses|purposes?|usage|study))?(?: is| are)? only\b"
    r"|\bonly (?:for )?(?:personal|private|editorial|educational|research|internal|academic) "
    r"(?:use|purposes?|study)\b"
    r"|\bfor (?:personal|private|editorial) (?:use|purposes?)\b(?! (?:and|or|as well)\b)"
    r"|\bnur (?:zur|für (?:den )?)privaten? |\busage (?:privé|personnel)\b",
    re.IGNORECASE,
)
_BOTH: Final = re.compile(r"\bcommercial (?:and|or|as well as) non[- ]?commercial", re.IGNORECASE)
_WITHHELD: Final = re.compile(
    r"\brights[- ]managed\b|\bproprietary\b|\bunauthori[sz]ed (?:use|reproduction|copying)\b"
    r"|\b(?:no|not|never) (?:be )?(?:\w+ )?(?:reproduc\w+|copied|copying|reus\w+|use|used|republish\w+|"
    r"published|distribut\w+|redistribut\w+)\b.{0,60}?\bwithout\b.{0,40}?"
    r"\b(?:permission|consent|authori[sz]ation|licen[cs]e)\b"
    r"|\b(?:permission|licen[cs]e) (?:is )?required\b|\bdo not (?:use|copy|reproduce|download)\b",
    re.IGNORECASE,
)
_READ: Final = 4096


def limits(text: str, granted: Tool) -> bool:
    """Whether a text sets terms that the granted licence does not itself set."""
    said = _BOTH.sub("", text[:_READ])
    return bool(
        (_NONCOMMERCIAL.search(said) and not granted.nc)
        or (_NO_DERIVATIVES.search(said) and not granted.nd)
        or _NARROW.search(said)
    )


def withheld(text: str) -> bool:
    """Whether a text keeps its rights in other words than all rights reserved."""
    return _WITHHELD.search(text[:_READ]) is not None
