"""The slots of machine-made credit lines: what stands in them is a title or a name, not a word.

`"Not for Sale" by No Doubt is licensed under CC BY 2.0` denies nothing.
"""

from __future__ import annotations

import re
from typing import Final

_NAME: Final = r"(?:[^\W\d_]\.|(?:[A-Z0-9]|[^\W\d_a-z])(?:[^\s.,;:!?\"()]|\.(?=\w))*|d[aeiu]|del?r?|v[ao]n|l[ae]|&)"
_LICENSED: Final = re.compile(
    rf"\"[^\"]{{1,120}}\" by (?P<slot>{_NAME}(?: {_NAME}){{0,3}}|@?[\w.-]{{1,40}}\w)"
    r"(?= (?:is|are) (?:licensed|marked|released|dedicated|in the public)\b)"
)
"""The line of Openverse and of the Creative Commons chooser, with its title in quotation marks."""
_COMMONS: Final = re.compile(
    r"^(?P<slot>[^,.;:()!?<>\"0-9]{1,80})(?=, [^,]{3,200}, via (?:Wikimedia Commons|Flickr)\W*$)"
)
"""The line of Wikimedia Commons: a creator, or a title `by` one."""
_AUTHOR: Final = re.compile(
    r"(?:\b(?i:by|photo:|foto:|credit:|author:|photographer:)|©|\([cC]\)) ?(?:(?:19|20)\d\d )?"
    r"(?P<slot>[A-Z][^\W\d_]+(?: [A-Z][^\W\d_]+){1,2})(?= ?[,/(|;])"
)
"""A name of two or three capitalised words behind a word that announces one."""
_LEGAL: Final = re.compile(
    r"\bcc|licen|lizen|commons|copyright|public|domain|right|reserv|avail|valid|allow|permi|grant|"
    r"appl|under|appro|confirm|free\b|any(?:more|thing)|longer|release|commerc|deriv|attrib",
    re.IGNORECASE,
)
"""Words that a name hardly has, and a denial written in capitals does."""


def blank_slots(text: str) -> str:
    """The text with the names and titles of credit lines blanked out, at the same length."""
    for line in (_LICENSED, _COMMONS, _AUTHOR):
        text = line.sub(_blank, text)
    return text


def _blank(match: re.Match[str]) -> str:
    slot = match["slot"]
    words = slot.replace(" by ", " ").split(" ")
    titled = match.re is not _COMMONS or " by " in slot or all(w[:1].isupper() for w in words)
    if _LEGAL.search(slot) or not titled:
        return match[0]
    at = match.start("slot") - match.start()
    return match[0][:at] + " " * len(slot) + match[0][at + len(slot) :]
