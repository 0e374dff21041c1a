"""What stands right beside a licence mention, or is its subject, and so leaves it in doubt.

Signs that deny, labels that make it a name or a link, other holders, places and things that are no
picture. `rest` is always the text with all mentions and addresses blanked out.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from curate.license.answer import Parsed
from curate.license.tools import Tool

_DENIED: Final = re.compile(
    r"[≠≉≭¬≈≃∼∉⊘✗✘✖❌❎🚫⛔🛇🗙👎☐□]|!=|<>|\( ?\?+ ?\)|\?\?|</?(?:del|s|strike)>", re.IGNORECASE
)
"""Signs of denial and doubt, wherever they stand."""
_LABEL: Final = re.compile(
    r"(?:[!~@]|[?&#]\w{1,30}=[\"']?"
    r"|\b(?:class|id|name|user|username|account|handle|nick|screen name|alt|src|value|band|artist|song"
    r"|title|tags?|category|topic|filter|search|off|disabled|wanted|members|subscribers) ?[=:] ?[\"']?|\?: ?|\[ ?\] ?"
    r"|\bversion[: ]{1,2}|\b(?:from|versus|vs|like|incl|including)[.:]? ?[(\"']?"
    r"|\b(?:studios?|label|band|(?:html|web|site|wordpress) (?:template|theme)|t-shirt|shirt|poster|sticker|badge|logo|sign) ?[(\"']?|\bpdm\W{1,3})$",
    re.IGNORECASE,
)
"""Directly before a mention: signs and words that make it a name, a link or a comparison."""
_POINTED: Final = re.compile(
    r"\b(?:see(?: also)?|cf|vgl|siehe|voir|compare)[.:]? ?$", re.IGNORECASE
)
_NAME: Final = re.compile(
    r"[ -](?:Records?|Inc|Ltd|Limited|LLC|GmbH|Corp|Films?|Productions?|Studios?|Entertainment|"
    r"Airport|Conference|Workshop|Summit|Congress|Symposium|Festival|Meeting|Award|Magazine|Tour|School|"
    r"College|Pty|PLC|Music|Band|Hotel|Museum|Gallery|Group|Company|Corporation|Foundation)\b"
)
"""Directly behind a mention: what makes it part of a name."""
_CUT: Final = re.compile(
    r"=|/\d| \d+ ?%|[ ,|/+&]*(?:MIT|BSD|GPL)\W*$| (?:modified|amended|altered)\W*$"
)
_ADDED: Final = re.compile(
    r"\s*(?:[(\[{][^()\[\]{}]{0,12}?\b(?i:(n[cd]|sa))\b|[,+/&|;: <>~*-]{0,4}(N[CD]|SA)\b(?!,? [a-z]))"
)
"""Directly behind: a letter pair of an element, in brackets or after a sign."""
_TERRITORY: Final = re.compile(
    r"\s*\(?(?:only )?(?:in|within|for) (?:the )?(?!Wiki|Creative|Open)[A-Z]"
)
_BEGINS: Final = re.compile(
    r"^\W*(?:from|starting|since|until|till|as of|effective|after|before|ab|seit|depuis|desde)"
    r"(?: \w+){0,3}? (?:19|20)\d\d[\s:]*$",
    re.IGNORECASE,
)
"""The whole clause before a mention: a time that the grant begins or ends."""
_HOLDERS: Final = re.compile(
    r"\b(?:photos|photographs|images|pictures|bilder|fotos|fotografien|fotografías|imágenes|artworks?|sculptures?|paintings?|statues?)\b"
    r"[^.;]{0,15}?(?:©|\([cC]\)|\bcopyright)|\bcopyrighted\b|© ?\(|\( ?© ?\)"
    r"|\b(?:their|respective) (?:owner|holder|author|creator)",
    re.IGNORECASE,
)
"""Behind a mention: somebody else's rights in the pictures or in what they show."""
_THING: Final = (
    r"(?:texts?|texte|textes|textos?|testo|tekst|articles?|records?|metadata|data|datasets?|"
    r"databases?|definitions?|code|software|stylesheets?|css|themes?|templates?|layouts?|designs?|"
    r"skins?|fonts?|typefaces?|icons?|emojis?|logos?|music|soundtracks?|songs?|audio|sounds?|lyrics|"
    r"videos?|subtitles|overlays?|plugins?|musik|musique|música|icônes?|schriftart(?:en)?|frames?|tiles?|maps? tiles?|captions?|descriptions?|documentation|transcripts?|"
    r"translations?|abstracts?|thumbnails?|previews?)"
)
_SUBJECT: Final = re.compile(
    rf"(?:^|[.;:|(—–/]\s*)(?:(?:the|this|these|our|all|website|web|site|page|blog|map|background|"
    rf"its|cover|wikipedia|html|wordpress|catalogue|catalog|source) ){{0,3}}(?<!open access ){_THING}"
    r"(?:\s*(?:[:©(]|,?\s*$)|,?\s+(?:by|from|is|are|was|were|licen[sc]\w*|under|via|available|published|"
    r"released|courtesy|copyright)\b)",
    re.IGNORECASE,
)
"""A sentence, label or clause whose subject is something other than the picture."""
_SOME: Final = re.compile(
    r"\b(?:some|most|mostly|many|several|various|few|certain|half|other|montage|collage|incl|"
    r"including|low[- ]res\w*(?: resolution)?|cover (?:photo|image|picture))\b",
    re.IGNORECASE,
)
"""In the clause before: only a part of what is there."""
_NONCOMMERCIAL: Final = re.compile(
    r"(?:for )?non[- ]?commercial(?: use| purposes)?(?: only)?|\bno commercial us(?:e|age)",
    re.IGNORECASE,
)
_NO_DERIVATIVES: Final = re.compile(r"\bno deriv(?:ative)?s?(?: works?)?", re.IGNORECASE)
_CLAUSE: Final = re.compile(r"[;,()\[\]{}|/•·]|[.!?。]\s")
_SPACED: Final = re.compile(r"(?<!\w)(?:[^\W\d_][ .]){2,11}[^\W\d_](?!\w)")
_LEET: Final = str.maketrans("013", "oie")
_DIGIT_IN_WORD: Final = re.compile(r"(?<=[^\W\d_])[013](?=[^\W\d_])")


def disguised(text: str) -> str:
    """A text with the letters of its words in their plain form: full-width, accented, spaced, n0t."""
    if not text.isascii():
        apart = unicodedata.normalize("NFKD", text)
        text = "".join(sign for sign in apart if not unicodedata.combining(sign))
    text = _SPACED.sub(lambda m: m[0].replace(" ", "").replace(".", ""), text)
    return _DIGIT_IN_WORD.sub(lambda m: m[0].translate(_LEET), text)


def without_repetition(rest: str, tool: Tool) -> str:
    """A text without the words for what a licence asks anyway: they limit nothing."""
    for asked, words in ((tool.nc, _NONCOMMERCIAL), (tool.nd, _NO_DERIVATIVES)):
        if asked:
            rest = words.sub(lambda m: " " * len(m[0]), rest)
    return rest


def repeats(answer: Parsed, tool: Tool) -> bool:
    """Whether a mention is only such words, as in `CC BY-NC-ND 4.0, no derivatives`."""
    said = (answer.matched or "").lower()
    asked = {"commercial": tool.nc, "deriv": tool.nd}
    elements = set(re.findall("commercial|deriv", said))
    only = bool(elements) and not re.search(r"attrib|share|[0-9]", said)
    return only and all(asked[element] for element in elements)


def doubtful(rest: str) -> str:
    """Why any mention in a text is in doubt, whatever its place; empty where none is."""
    return "contradiction" if _DENIED.search(rest) else ""


def beside(rest: str, start: int, end: int, tool: Tool, *, first: bool) -> str:
    """Why one mention is in doubt by what stands around it; empty where nothing does.

    `first` says that no other mention stands before it: a later one may be pointed to.
    """
    before, behind = rest[max(0, start - 300) : start], rest[end:]
    if _added(behind, tool):
        return "conflict"
    if first and _HOLDERS.search(behind):
        return "contradiction"
    pointed = first and _POINTED.search(before)
    if pointed or _LABEL.search(before) or _NAME.match(behind) or _CUT.match(behind):
        return "unclear_statement"
    clause = before[max((m.end() for m in _CLAUSE.finditer(before)), default=0) :]
    limited = _TERRITORY.match(behind) or _BEGINS.match(clause) or _SOME.search(clause)
    return "uncertain" if limited or (first and _about_another(rest, start, behind)) else ""


def _about_another(rest: str, start: int, behind: str) -> bool:
    """Whether the subject is no picture; the notice of a journal covers the figures too."""
    journal = re.match(r"\W*(?:which|that) permits\b|.{0,40}which permits\b", behind)
    return journal is None and _SUBJECT.search(rest[:start]) is not None


def _added(behind: str, tool: Tool) -> bool:
    match = _ADDED.match(behind)
    if match is None:
        return False
    own = {"nc": tool.nc, "nd": tool.nd, "sa": tool.sa}
    return not own[(match[1] or match[2]).lower()]
