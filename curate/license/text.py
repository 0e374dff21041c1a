"""Free text: a licence field, a sentence, a notice. Exactly one tool must remain, and no doubt.

Mentions and addresses are found first; what is left of the text must not withdraw, limit or doubt
them. Two licences are a conflict unless an explicit "or" stands between them.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from curate.license.answer import Parsed, accepted, ambiguous, elect, rejected
from curate.license.caveats import (
    CREDITED,
    DOUBT,
    LIMITS,
    NEUTRAL,
    NO_KNOWN,
    RESERVED,
    SOFTWARE,
    UNNAMED,
)
from curate.license.credits import blank_slots
from curate.license.mention import Mention, Reader, may_begin
from curate.license.open_families import read_families
from curate.license.spdx import arms, parse_spdx
from curate.license.statement import KNOWN, unclear
from curate.license.surroundings import (
    beside,
    disguised,
    doubtful,
    repeats,
    without_repetition,
)
from curate.license.tokens import CJK
from curate.license.tools import CREATIVE_COMMONS, TOOLS, Tool
from curate.license.urls import parse_url
from curate.license.words import AND, LICENCE, NOT, OR, VERSION, word_set

LIMIT: Final = 2048
_MENTIONS: Final = 16

_FOLD: Final = {
    **dict.fromkeys([*range(0x2010, 0x2016), 0x2212, 0xFE58, 0xFE63, 0xFF0D, 0x2043], "-"),
    **dict.fromkeys([0xA0, 0x2002, 0x2003, 0x2007, 0x2009, 0x202F, 0x3000, 9, 10, 11, 12, 13], " "),
    0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"', 0xFF08: "(", 0xFF09: ")",
    0xFF06: "&", 0xFF1A: ":",
}  # fmt: skip
_FOLD_ASCII: Final = dict.fromkeys(range(9, 14), " ")
_HIDDEN = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f\xad\u017f\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e"
    r"\u2060-\u2069\u212a\u2800\u3164\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_ESCAPES: Final = {
    "&nbsp;": " ", "&#160;": " ", "&amp;": "&", "&copy;": "©", "&#169;": "©", "&quot;": '"',
    "&lt;": "<", "&gt;": ">", "&#8209;": "-", "&#8211;": "-", "&ndash;": "-", "&mdash;": "-",
    "&#39;": "'",
}  # fmt: skip
"""What remains of HTML in notices: signs only, never letters."""
_ESCAPE = re.compile("|".join(_ESCAPES))
_TAG = re.compile(r"<br ?/?>|</?(?:b|i|em|strong|p|span|div)>", re.IGNORECASE)
_EDGES: Final = " \t\r\n\ufeff\u200b"
_FILLING: Final = "\x00 \t\r\n"
"""Fields of a fixed length are filled up with these."""
_MIXED = re.compile(r"[A-Za-z][\u0370-\u058f\u13a0-\u13ff]|[\u0370-\u058f\u13a0-\u13ff][A-Za-z]")
_APART = re.compile(r"[\s_-]+")
_SLUG = re.compile(r"cc(?:0|zero|[-_]?by[a-z_-]*)[-_][0-9][-_][0-9](?:[-_][a-z]+)?", re.I)
_NAMED_ON = re.compile(r" ([A-Z][a-z]+)")
_MINUS = re.compile(r"\w -[0-9]")
_GLUED = re.compile(rf"[-.'@\\]?[^\W{CJK}]| ?\?")
_NOT_CJK = re.compile("不是|不在|并非|並非|沒有|没有|未|ではな|ありません|ない|아니|않|禁止")
_NOT_BEHIND = re.compile(rf"[ {CJK}]{{0,12}}?(?:ではな|じゃな|ありません|아니|않)")
_BARE_ELEMENTS = re.compile(r"\bby(?:[-/ ](?:nc|nd|sa))+\b|\b(?:nc|nd|sa)[- ][0-9]\.[0-9]", re.I)
_CHUNK = re.compile(r"[^\s<>\"'|]+")
_FILE_OR_HOST = re.compile(
    r"\w\.(?:com|net|org|info|html?|php|aspx?|jpe?g|png|gif|tiff?|webp|svg|pdf|txt)\b|\w@\w",
    re.IGNORECASE,
)
_PATH = re.compile(r"^/\w+[/.]|\b(?:licen[sc]es?|publicdomain)/", re.IGNORECASE)
_SCHEME = re.compile(r"(?:[a-z][a-z0-9+.-]{1,15}:)?//|\bwww\.", re.IGNORECASE)
_ODD_ADDRESSES: Final = ("lookalike", "rights_statement")
_OTHER_SCHEMES: Final = word_set("mailto data javascript vbscript blob file ftp feed jar about tel")
_LABEL = re.compile(r"[(\[{*]*+(?:[^\W\d_]{1,20}+[:=(\[]?+)?+[(\[]*+")
_US_GOV: Final = re.compile(
    r"(?:u\.?s\.?|united states) (?:federal )?government work|"
    r"works? of the (?:u\.?s\.?|united states) (?:federal )?government",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Found:
    start: int
    end: int
    answer: Parsed
    marked: bool = True


def fold(text: str) -> str:
    """Typographic dashes, spaces and quotes in their plain form, accents composed; no more."""
    if text.isascii():
        return text.translate(_FOLD_ASCII)
    return unicodedata.normalize("NFC", text).translate(_FOLD)


def _key(text: str) -> str:
    return _APART.sub("-", fold(text).strip().lower())


def _exact() -> dict[str, Tool]:
    table: dict[str, Tool] = {t.id.lower(): t for t in TOOLS.values()}
    for tool in CREATIVE_COMMONS:
        title = tool.title
        for form in (tool.identifier, tool.id, title, f"Creative Commons {title}",
                     f"CC {title}", f"{title} ({tool.identifier})"):  # fmt: skip
            for ending in ("", " License", " Licence"):
                table[_key(form + ending)] = tool
    sampling = {t.title.removesuffix(" Generic"): t for t in CREATIVE_COMMONS
                if t.unit == "sampling+" and not t.jurisdiction}  # fmt: skip
    others = {"PDM": "CC-PDM-1.0", "CC PD Mark 1.0": "CC-PDM-1.0", "CC PD Mark": "CC-PDM-1.0",
              "dl-de/by-2-0": "DL-DE-BY-2.0", "dl-de/zero-2-0": "DL-DE-ZERO-2.0"}  # fmt: skip
    certified = (
        "Copyright-Only Dedication{} (based on United States law) or Public Domain Certification"
    )
    others |= {certified.format(star): "CC-PDDC" for star in ("", "*")}
    others |= {f"{certified.format('*')} 1.0 United States": "CC-PDDC"}
    return (
        table
        | {_key(name): tool for name, tool in sampling.items()}
        | {_key(name): TOOLS[id_] for name, id_ in others.items()}
    )


_EXACT: Final = _exact()


def parse_text(text: str, *, choice: bool = False) -> Parsed:
    """The one tool that a text grants, or why there is none.

    `choice` says that by the source's rule several versions in a row are alternatives.
    """
    if len(text) > LIMIT:
        return rejected("too_long", text[:80])
    text = _ESCAPE.sub(lambda m: _ESCAPES[m[0]], _TAG.sub(" ", text.rstrip(_FILLING))).strip(_EDGES)
    if _HIDDEN.search(text) or (not text.isascii() and _stray_mark(text)):
        return rejected("hidden_characters", text)
    folded = plain = " ".join(fold(text).split())
    if not plain:
        return rejected("empty")
    exact = None if " -" in plain and _MINUS.search(plain) else _EXACT.get(_key(plain))
    if exact is not None:
        reason = "title" if exact.title[:6].lower() in plain.lower() else "identifier"
        return accepted(exact, reason, plain)
    if _SLUG.fullmatch(plain):
        folded = plain = re.sub(r"([0-9])[-_]([0-9])", r"\1.\2", plain)
    if " or " in plain.lower() and re.fullmatch(r"[\w.+()\s-]+", plain):
        expression = parse_spdx(plain)
        if expression.id and "unrecognised" not in (arm.reason for arm in arms(plain)):
            return expression
    return _judge(folded, choice)


def _beside(before: str) -> bool:
    """Whether a run of text ends in a separator, as in `CC BY 4.0;https://…`."""
    stripped = before.rstrip("](;,)[")
    ending = before[len(stripped) :]
    apart = len(ending) > 1 or not stripped[-1:].isalpha()
    return bool(ending.strip("[")) and apart and not set(before) & set("/?=@#%\\")


def _stray_mark(text: str) -> bool:
    """Whether a sign that only changes letters stands on a plain one, and has not joined it."""
    composed = unicodedata.normalize("NFC", text)
    return any(
        unicodedata.category(sign) in ("Mn", "Me", "Cf") and before.isascii()
        for before, sign in pairwise(" " + composed)
        if not sign.isascii()
    )


def _judge(folded: str, choice: bool) -> Parsed:
    found, rest = _addresses(folded)
    odd = [f.answer.reason for f in found if f.answer.reason in _ODD_ADDRESSES]
    odd += ["lookalike"] if _MIXED.search(folded) else []
    good = [f for f in found if f.answer.reason not in ("not_a_licence_url", "lookalike")]
    rest, others = read_families(rest)
    families = [_Found(*other) for other in others]
    mentions, rest = _mentions(rest, choice)
    good = sorted(good + families + mentions, key=lambda f: f.start)
    if len(good) > _MENTIONS:
        return ambiguous("conflict", folded)
    answer = _combine(good, rest, folded)
    if odd and any(f.answer.id for f in good):
        return ambiguous("contradiction", folded)
    return rejected(odd[0], folded) if odd else answer


def _addresses(folded: str) -> tuple[list[_Found], str]:
    """Every address in the text, judged, and the text with them blanked out."""
    found = []
    rest = folded
    for chunk in _CHUNK.finditer(folded):
        begin = _address_start(chunk[0])
        if begin < 0:
            continue
        url = chunk[0][begin:].rstrip(".,;:!?)]}*")
        begin += chunk.start()
        found.append(_Found(begin, chunk.end(), parse_url(url)))
        rest = rest[:begin] + " " * (chunk.end() - begin) + rest[chunk.end() :]
    return found, rest


def _address_start(chunk: str) -> int:
    """Where an address, file name or host begins in a run of text without spaces, or -1.

    Only a label such as `License:`, a bracket or a version and a separator may stand before it;
    anything else makes the whole run one address: one carried inside another is never read alone.
    """
    scheme = _SCHEME.search(chunk)
    if scheme is not None:
        label = chunk[: scheme.start()].strip("([{*:").lower()
        plain = _LABEL.fullmatch(chunk, 0, scheme.start()) or _beside(chunk[: scheme.start()])
        return scheme.start() if plain and label not in _OTHER_SCHEMES else 0
    if "commons." in chunk.lower() or _FILE_OR_HOST.search(chunk) or _PATH.search(chunk):
        return len(chunk) - len(chunk.lstrip("([{*"))
    return -1


def _mentions(rest: str, choice: bool) -> tuple[list[_Found], str]:
    neutral = NEUTRAL.sub(lambda m: " " * len(m[0]), blank_slots(rest))
    reader = Reader(neutral, choice=choice)
    found: list[_Found] = []
    at = 0
    blanked = neutral
    starts = [n for n, token in enumerate(reader.tokens) if may_begin(token.word)]
    for start in starts:
        if start < at or len(found) > _MENTIONS:
            continue
        at = start
        mention, at_next = reader.read(at)
        if mention is not None:
            found.append(_checked(mention, neutral))
            blanked = (
                blanked[: mention.start]
                + " " * (mention.end - mention.start)
                + (blanked[mention.end :])
            )
        at = max(at + 1, at_next)
    return found, blanked


def _checked(mention: Mention, text: str) -> _Found:
    """A mention glued to other words by a hyphen, dot or slash is a name, not a statement."""
    before = text[max(0, mention.start - 2) : mention.start]
    behind = text[mention.end : mention.end + 40]
    glued = re.search(r"\w[-._@\\#]$", before) or _GLUED.match(behind)
    answer = mention.answer
    if (
        glued
        and answer.id is not None
        and behind[1:].split(" ")[0].strip(".,)").lower() not in LICENCE
    ):
        answer = ambiguous("port_unclear", answer.matched or "")
    name = _NAMED_ON.match(behind)
    if name and answer.id and not mention.marked and name[1].lower() not in KNOWN:
        answer = ambiguous("unclear_statement", answer.matched or "")
    return _Found(mention.start, mention.end, answer, mention.marked)


def _combine(found: list[_Found], rest: str, folded: str) -> Parsed:
    if not found:
        return _nothing(rest, folded)
    reserved = bool(RESERVED.search(rest))
    if all(f.answer.status == "reject" for f in found):
        return rejected("all_rights_reserved", folded) if reserved else found[0].answer
    tools = {f.answer.id for f in found} - {None}
    if len(tools) == 1:
        tool = TOOLS[tools.pop() or ""]
        rest = without_repetition(rest, tool)
        found = [f for f in found if f.answer.id or f.marked or not repeats(f.answer, tool)]
    withdrawn = [f for f in found if _negated(f, rest)]
    if withdrawn:
        same = len(withdrawn) == len(found)
        return rejected("negated", folded) if same else ambiguous("contradiction", folded)
    answer = _single(found, rest)
    if answer.status != "ok":
        return (
            rejected("all_rights_reserved", folded)
            if reserved and not answer.family and (answer.reason in ("no_tool", "public_domain"))
            else answer
        )
    doubt = _doubt(rest, reserved) or ("uncertain" if folded.endswith("?") else "")
    named = [f for f in found if f.answer.id is not None]
    if not doubt and any(unclear(rest, f.start, f.end) for f in named):
        doubt = "unclear_statement"
    for index, f in enumerate(named):
        doubt = doubt or beside(rest, f.start, f.end, TOOLS[f.answer.id or ""], first=not index)
    return ambiguous(doubt, folded) if doubt else answer


def _single(found: list[_Found], rest: str) -> Parsed:
    """The answer that all mentions agree on, or a choice between them."""
    named = [f for f in found if f.answer.reason not in ("no_tool", "public_domain")]
    vague = [f.answer for f in found if f not in named]
    exact = [f for f in named if f.answer.status == "ok"]
    families = {TOOLS[f.answer.id].family for f in exact if f.answer.id}
    named = [
        f for f in named
        if not (f.answer.reason == "versionless" and exact and f.answer.family in families)
        and not (f.answer.reason == "no_marker" and exact)
    ]  # fmt: skip
    if not named:
        return vague[0] if vague else rejected("unrecognised")
    if len({(f.answer.id, f.answer.reason if not f.answer.id else "") for f in named}) == 1 and (
        len({f.answer.family for f in named}) == 1
    ):
        whole = replace(named[0].answer, reason=_reason(named))
        return _against_public_domain(whole, vague, rest)
    if _is_choice(named, rest):
        return elect([f.answer for f in named], " or ".join(f.answer.matched or "" for f in named))
    return ambiguous("conflict", " | ".join(f.answer.matched or "" for f in named))


def _against_public_domain(answer: Parsed, vague: list[Parsed], rest: str) -> Parsed:
    free = answer.id is None or (not TOOLS[answer.id].by and not TOOLS[answer.id].nc)
    if not free and any(v.reason == "public_domain" for v in vague):
        return ambiguous("conflict", answer.matched or "")
    return answer


def _reason(named: list[_Found]) -> str:
    reasons = [f.answer.reason for f in named]
    return reasons[0] if len(set(reasons)) == 1 else "statement"


def _is_choice(named: list[_Found], rest: str) -> bool:
    """Whether an explicit "or", and nothing but licence words, stands between all neighbours."""
    glue = LICENCE | VERSION | {
        "either", "the", "a", "any", "at", "your", "option", "of", "choice", "under", "terms",
        "public", "international", "unported", "generic", "creative", "commons", "s",
    }  # fmt: skip
    for left, right in pairwise(named):
        between = re.findall(r"[^\W_]+|[|&+]", rest[left.end : right.start].lower())
        linked = any(word in OR for word in between)
        if left.answer.id == right.answer.id and left.answer.id:
            continue
        if not linked or any(word in AND for word in between) or set(between) - OR - glue:
            return False
    return True


def _negated(found: _Found, rest: str) -> bool:
    """Whether a word of negation stands before the mention in the same sentence."""
    before = re.split(r"[.;!?。]\s|[;!?。]", rest[max(0, found.start - 200) : found.start])[-1]
    words = [
        word
        for text in (before, disguised(before))
        for word in re.findall(r"[^\W\d_]+(?:'t\b)?", text.lower())[-12:]
    ]
    if _NOT_CJK.search(before) or _NOT_BEHIND.match(rest, found.end):
        return True
    return any(word in NOT or word.endswith("n't") for word in words)


def _doubt(rest: str, reserved: bool) -> str:
    """Why an otherwise clear grant is not one, or an empty string."""
    if reserved or NO_KNOWN.search(rest) or doubtful(rest):
        return "contradiction"
    words = set(re.findall(r"[^\W\d_]+", f"{rest} {disguised(rest)}".lower()))
    if words & NOT or "n't" in rest.lower() or LIMITS.search(rest) or _NOT_CJK.search(rest):
        return "contradiction"
    if _BARE_ELEMENTS.search(rest) or (SOFTWARE.search(rest) and not words & OR):
        return "conflict"
    return "uncertain" if DOUBT.search(CREDITED.sub(" ", rest)) else ""


def _nothing(rest: str, folded: str) -> Parsed:
    if RESERVED.search(rest):
        return rejected("all_rights_reserved", folded)
    if NO_KNOWN.search(rest):
        return rejected("no_known_restrictions", folded)
    short = fold(folded).strip().lower()
    if re.fullmatch(r"by(?:[- ](?:nc|nd|sa))*[- ]?v?\d\.\d|by(?:[- ](?:nc|nd|sa))+", short):
        return ambiguous("no_marker", folded)
    if _US_GOV.search(rest) or re.match(r"pd(?:[- ]|$)", short):
        return ambiguous("public_domain", folded)
    if UNNAMED.search(rest):
        return ambiguous("free_but_unnamed", folded)
    return rejected("unrecognised", folded)
