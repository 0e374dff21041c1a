"""robots.txt as RFC 9309 reads it: which of its lines keeps us from a URL.

protego matches groups and paths. Group names are folded before, because protego lets a group named
`cur` speak to `curate`, and because a group that names us must not be one that merely resembles us.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from curate.license.paths import PathPattern, is_plain, path_of
from curate.license.reservations import Unreadable

if TYPE_CHECKING:
    from protego import Protego

LIMIT_BYTES: Final = 500 * 1024
"""How much of the file is read: the least that RFC 9309 asks for; what follows is ignored."""

_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_AGENT: Final = re.compile(r"\s*user[- ]?agent\s*[:\s]\s*(.*)", re.I | re.S)
_RULE: Final = re.compile(r"\s*(allow|d\w*s\w*l+\w*w)\s*[:\s]\s*(.*)", re.I | re.S)
_SITE_WIDE: Final = re.compile(r"\s*(?:site-?maps?|host)\s*:", re.I)
_ROBOTS_LINE: Final = re.compile(
    r"\s*(?:user[- ]?agent|allow|d\w*s\w*l+\w*w|site-?maps?|crawl[- ]?delay)\s*:", re.I
)
_OTHER_LINE_ENDS: Final = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
_EVERYBODY: Final = "*"
_SOMEBODY_ELSE: Final = "another"


@dataclass(frozen=True)
class _Rule:
    """A line that allows or disallows, and the folded names of the group that it stands in."""

    agents: frozenset[str]
    line: str
    pattern: PathPattern

    @property
    def forbids(self) -> bool:
        return self.line[:1] in "dD" and self.pattern.text != ""


@dataclass(frozen=True)
class Robots:
    """The rules of one file, ready to be asked about URLs of its origin."""

    _parser: Protego = field(repr=False)
    _names: Sequence[str]
    _rules: Sequence[_Rule] = field(repr=False)
    _asked: Sequence[str]
    _prefixes: tuple[str, ...] = field(repr=False)

    def forbidding(self, url: str) -> str | None:
        """The line that keeps us from a URL, with the group it stands in; None if none does.

        Raises Unreadable if the rules cannot be applied to this URL.
        """
        if is_plain(url) and not path_of(url).startswith(self._prefixes):
            return None  # no rule can match, whichever group it stands in
        try:
            refusing = [name for name in self._asked if not self._parser.can_fetch(url, name)]
        except ValueError as error:
            raise Unreadable(f"its rules cannot be applied ({error})") from error
        return self._line(refusing[0], path_of(url)) if refusing else None

    def _line(self, name: str, path: str) -> str:
        named = any(name in rule.agents for rule in self._rules)
        group = name if named else _EVERYBODY
        hits = [
            rule for rule in self._rules
            if rule.forbids and group in rule.agents and rule.pattern.matches(path)
        ]  # fmt: skip
        shown = self._names[int(name.rpartition("-")[2])] if named else _EVERYBODY
        if not hits:  # protego reads a few spellings more generously
            return f"User-agent: {shown}"
        longest = max(hits, key=lambda rule: len(rule.pattern.text))
        return f"User-agent: {shown} / {longest.line[:400]}"


def parse_robots(body: bytes, *, names: Sequence[str]) -> Robots:
    """Read a robots.txt. `names` are our product tokens, the one we ask with first.

    For the first name the group `*` holds where no group names it; the further names count only
    where a group names them. Raises Unreadable for HTML, binary data and text without any rule.
    """
    from protego import Protego

    names = list(dict.fromkeys(name.strip().lower() for name in names))
    lines, rules, addressed = [], [], set()
    for line, rule, agent in _read(_text(body), names):
        lines.append(line)
        if agent is not None:
            addressed.add(agent)
        if rule is not None:
            rules.append(rule)
    try:
        parser = Protego.parse("\n".join(lines))
    except ValueError as error:
        raise Unreadable(f"its rules cannot be read ({error})") from error
    folded = [_folded(number) for number in range(max(1, len(names)))]
    asked = [name for number, name in enumerate(folded) if not number or name in addressed]
    prefixes = tuple(rule.pattern.prefix for rule in rules if rule.forbids)
    return Robots(parser, names, rules, asked, prefixes)


def _folded(number: int) -> str:
    return f"us-{number}"


def _text(body: bytes) -> str:
    """The file's text without byte order mark. Raises Unreadable for what is no robots.txt."""
    if b"\0" in body[:LIMIT_BYTES]:
        raise Unreadable("binary data instead of robots.txt")
    if len(body) > LIMIT_BYTES:  # half a line is no rule
        body = body[:LIMIT_BYTES]
        body = body[: max(body.rfind(b"\n"), body.rfind(b"\r")) + 1]
        if not body:
            raise Unreadable(f"a line longer than {LIMIT_BYTES:,} bytes")
    text = body.decode("utf-8", "replace").removeprefix("\ufeff")
    if text.lstrip()[:1] == "<":
        raise Unreadable("HTML instead of robots.txt")
    said = [line for line in _LINE_END.split(text) if line.partition("#")[0].strip()]
    if said and not any(_ROBOTS_LINE.match(line) for line in said):
        raise Unreadable("no line of it belongs to a robots.txt")
    return text


def _read(
    text: str, names: Sequence[str]
) -> Iterator[tuple[str, _Rule | None, str | None]]:  # fmt: skip
    """Each line for protego, with the rule or the folded group name that it holds."""
    agents: frozenset[str] = frozenset()
    in_heads = False
    for raw in _LINE_END.split(text):
        line = _OTHER_LINE_ENDS.sub(" ", raw.partition("#")[0]).strip()
        if not line:
            continue
        if found := _AGENT.fullmatch(line):
            agent = _whom(found[1], names)
            agents = agents | {agent} if in_heads else frozenset({agent})
            in_heads = True
            yield f"User-agent: {agent}", None, agent
            continue
        in_heads = in_heads and _SITE_WIDE.match(line) is not None
        rule = _RULE.fullmatch(line)
        yield line, _Rule(agents, line, PathPattern.of(rule[2])) if rule else None, None


def _whom(value: str, names: Sequence[str]) -> str:
    """Everybody, one of us, or somebody else: by the whole product token, in any case."""
    value = value.strip()
    if value == _EVERYBODY or re.match(r"\*\s", value):
        return _EVERYBODY
    words = re.split(r"[\s/;,(]", value.strip("*"), maxsplit=1)
    token = words[0].strip("*").lower()
    return _folded(names.index(token)) if token in names else _SOMEBODY_ELSE
