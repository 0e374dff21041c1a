"""How well licences are read: the corpus of the tests, and every form of every tool.

A false acceptance is the worst error, a wrong id the next; what is well-formed and not recognised
comes last. Every answer is timed, the slowest again and alone.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.machine import store
from curate.license import SOURCE_KINDS, parse

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "license"))
from license_corpus import cases
from license_forms import nonsense, well_formed


@dataclass
class Score:
    """What became of some strings whose token is known."""

    strings: Counter[str] = field(default_factory=Counter)
    well_formed: int = 0
    recognised: int = 0
    false_acceptances: list[str] = field(default_factory=list)
    wrong_ids: list[str] = field(default_factory=list)
    other_misses: list[str] = field(default_factory=list)
    slowest: list[tuple[float, str, str]] = field(default_factory=list)

    def add(self, kind: str, text: str, token: str | None) -> None:
        """Count one string; `token` is an id, AMBIGUOUS, REJECT, or None for either of the two."""
        begun = time.process_time()
        got = parse(text, kind).token
        self._time(time.process_time() - begun, kind, text)
        self.strings[kind] += 1
        free = token in (None, "AMBIGUOUS", "REJECT")
        self.well_formed += not free
        self.recognised += got == token and not free
        accepted = got not in ("AMBIGUOUS", "REJECT")
        if accepted and free:
            self.false_acceptances.append(f"{kind}: {text[:120]!r}")
        elif accepted and got != token:
            self.wrong_ids.append(f"{kind}: {text[:120]!r} → {got}")
        elif token is not None and got != token:
            self.other_misses.append(f"{kind}: {text[:120]!r} → {got}")

    def _time(self, seconds: float, kind: str, text: str) -> None:
        if len(self.slowest) < 20 or seconds > self.slowest[-1][0]:
            self.slowest = sorted([*self.slowest, (seconds, kind, text)], reverse=True)[:20]

    def worst_seconds(self) -> float:
        """The slowest answer, timed thrice more: the least of the times is its own."""
        return max(min(_seconds(kind, text) for _ in range(3)) for _, kind, text in self.slowest)

    def figures(self) -> dict[str, Any]:
        """For the results file and the screen."""
        return {
            "strings": self.strings.total(),
            "strings_by_kind": dict(sorted(self.strings.items())),
            "false_acceptances": len(self.false_acceptances),
            "wrong_ids": len(self.wrong_ids),
            "well_formed": self.well_formed,
            "recognised": self.recognised,
            "recognised_share": round(self.recognised / max(1, self.well_formed), 6),
            "other_misses": len(self.other_misses),
            "worst_milliseconds": round(self.worst_seconds() * 1000, 3),
            "examples": {
                "false_acceptances": self.false_acceptances[:20],
                "wrong_ids": self.wrong_ids[:20],
                "other_misses": self.other_misses[:20],
            },
        }


def _seconds(kind: str, text: str) -> float:
    begun = time.process_time()
    parse(text, kind)
    return time.process_time() - begun


def scored(strings: Iterable[tuple[str, str, str | None]]) -> dict[str, Any]:
    """Figures over (kind, text, token)."""
    score = Score()
    for kind, text, token in strings:
        score.add(kind, text, token)
    return score.figures()


def main() -> None:
    """Measure, print, store."""
    parse("CC BY 4.0", "text")
    figures = {
        "corpus": scored(cases()),
        "all_forms_of_all_tools": scored(well_formed()),
        "forms_that_name_no_tool": scored((kind, text, None) for kind, text in nonsense()),
    }
    for name, found in figures.items():
        print(f"\n{name}: {found['strings']:,} strings")
        for kind, count in found["strings_by_kind"].items():
            print(f"  {kind:32} {count:8,}")
        print(f"  false acceptances {found['false_acceptances']}, wrong ids {found['wrong_ids']}, "
              f"other misses {found['other_misses']}, "
              f"recognised {found['recognised']:,} of {found['well_formed']:,} "
              f"({found['recognised_share']:.2%}), worst {found['worst_milliseconds']} ms")  # fmt: skip
    covered = set(figures["corpus"]["strings_by_kind"])
    figures["kinds_without_strings"] = sorted(set(SOURCE_KINDS) - covered)
    print(store("license_accuracy", figures))


if __name__ == "__main__":
    main()
