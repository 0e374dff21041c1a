"""The seven promises, and what an audit can say of each: held, broken, or not verifiable here.

What one check finds is filed under the promise that it would break; a promise of which something
cannot be seen from the files says so instead of counting as held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Literal

State = Literal["held", "broken", "not verifiable here"]


class Kept(IntEnum):
    """The promises by number."""

    CONSERVATION = 1
    LICENSE_FIRST = 2
    EVIDENCE = 3
    SAME_DATA = 4
    EXACTLY_ONCE = 5
    LINEAGE = 6
    NEAR_HARDWARE = 7


NAMES: Final[Mapping[Kept, str]] = {
    Kept.CONSERVATION: "conservation: every candidate has one verdict",
    Kept.LICENSE_FIRST: "licence first: nothing is fetched or kept without an accepted licence",
    Kept.EVIDENCE: "evidence: who claimed what, where and when, and which bytes",
    Kept.SAME_DATA: "same recipe, same data: digests cover what was made, and how",
    Kept.EXACTLY_ONCE: "exactly once: committed shards only, each once, through a manifest",
    Kept.LINEAGE: "lineage: from every artefact back to its rows, and forward",
    Kept.NEAR_HARDWARE: "near the hardware: GPU stages against a bare loop",
}


@dataclass(frozen=True)
class Promise:
    """One promise: its state, what was looked at, and why more cannot be said."""

    number: int
    name: str
    state: State
    looked_at: list[str]
    unknown: list[str]
    problems: int

    def to_text(self) -> list[str]:
        """Lines for a person."""
        lines = [f"  {self.number} {self.name}: {self.state.upper()}"]
        lines += [f"      {text}" for text in self.looked_at]
        lines += [f"      not verifiable here: {text}" for text in self.unknown]
        return lines


@dataclass
class Findings:
    """What an audit under way has found: problems in order, and by promise."""

    problems: list[str] = field(default_factory=list)
    _broken: dict[Kept, int] = field(default_factory=dict)
    _looked: dict[Kept, list[str]] = field(default_factory=dict)
    _unknown: dict[Kept, list[str]] = field(default_factory=dict)
    _open: set[Kept] = field(default_factory=set)

    def add(self, promise: Kept, problems: Iterable[str]) -> None:
        """File problems under the promise that they break."""
        for problem in problems:
            self.problems.append(problem)
            self._broken[promise] = self._broken.get(promise, 0) + 1

    def looked(self, promise: Kept, what: str) -> None:
        """Say what was looked at for a promise."""
        self._looked.setdefault(promise, []).append(what)

    def unknown(self, promise: Kept, why: str) -> None:
        """Say what part of a promise these files cannot show; the rest of it may hold."""
        self._unknown.setdefault(promise, []).append(why)

    def cannot(self, promise: Kept, why: str) -> None:
        """Say why a promise as a whole cannot be verified here."""
        self.unknown(promise, why)
        self._open.add(promise)

    def promises(self) -> list[Promise]:
        """All seven, in order; one that nothing was looked at for is not verifiable."""
        return [self._promise(promise, name) for promise, name in NAMES.items()]

    def _promise(self, promise: Kept, name: str) -> Promise:
        looked, unknown = self._looked.get(promise, []), self._unknown.get(promise, [])
        broken = self._broken.get(promise, 0)
        state: State = "held"
        if broken:
            state = "broken"
        elif promise in self._open or not looked:
            state = "not verifiable here"
            unknown = unknown or ["the audit did not get so far: see the problems"]
        return Promise(int(promise), name, state, looked, unknown, broken)
