"""What became of the rows: verdicts, reasons, the funnel and the licence matrix.

One streamed pass over five narrow ledger columns gives all counts; the report never recounts
what it does not show.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from curate import columns as c
from curate.license.evidence import LADDER
from curate.provenance.licensing import FLOOR
from curate.report.reading import ledger
from curate.stage import REASONS
from curate.store.dataset import Dataset

VERDICTS = ("kept", "rejected", "failed")
LEVELS = tuple(LADDER)
RELEASE_FLOOR = int(FLOOR.removeprefix("L"))
MATRIX_ROWS = 60
_COLUMNS = [c.VERDICT, c.REASON, c.LICENSE, c.LICENSE_GROUP, c.EVIDENCE_LEVEL]


@dataclass(frozen=True)
class ReasonCount:
    """How many rows carry one reason."""

    verdict: str
    reason: str
    rows: int

    @property
    def kind(self) -> str:
        return self.reason.partition(":")[0]

    @property
    def meaning(self) -> str:
        return REASONS.get(self.kind, "")


@dataclass(frozen=True)
class LicenseRow:
    """One line of the licence matrix: rows by verdict, and kept rows by evidence level."""

    license: str | None
    group: str | None
    verdicts: dict[str, int]
    levels: dict[int | None, int]
    folded: int = 0

    @property
    def total(self) -> int:
        return sum(self.verdicts.values())


@dataclass(frozen=True)
class Verdicts:
    """All counts of the ledger."""

    totals: dict[str, int]
    reasons: tuple[ReasonCount, ...]
    licenses: tuple[LicenseRow, ...]

    @property
    def candidates(self) -> int:
        return sum(self.totals.values())

    @property
    def kept_below_floor(self) -> int:
        """Kept rows that carry a licence whose best claim is under the release floor."""
        return sum(
            rows
            for line in self.licenses
            for level, rows in line.levels.items()
            if line.license is not None and (level is None or level < RELEASE_FLOOR)
        )

    @property
    def kinds(self) -> tuple[tuple[str, str, int, str], ...]:
        """Kind of reason, verdict, rows and meaning, most frequent first."""
        rows: Counter[tuple[str, str, str]] = Counter()
        for counted in self.reasons:
            rows[counted.kind, counted.verdict, counted.meaning] += counted.rows
        ordered = sorted(rows.items(), key=lambda item: (-item[1], item[0]))
        return tuple((kind, verdict, n, meaning) for (kind, verdict, meaning), n in ordered)

    @property
    def level_totals(self) -> dict[int | None, int]:
        """Kept rows by evidence level, zero where there are none."""
        totals: Counter[int | None] = Counter(dict.fromkeys(LEVELS, 0))
        for line in self.licenses:
            totals.update(line.levels)
        return dict(totals)

    def share(self, verdict: str) -> float:
        return self.totals.get(verdict, 0) / self.candidates if self.candidates else 0.0


@dataclass(frozen=True)
class FunnelStep:
    """One stage of the funnel: rows in, rows that live on, and why the others do not."""

    layer: str
    stage: str
    rows_in: int
    rows_out: int
    marked: tuple[ReasonCount, ...]
    verdicts: dict[str, int]

    @property
    def lost(self) -> int:
        return self.rows_in - self.rows_out


def count(dataset: Dataset) -> Verdicts:
    """Count the ledger in one pass; a verdict that is none of the three is a fourth total."""
    names = [field.name for field in _COLUMNS]
    cells: Counter[tuple[Any, ...]] = Counter()
    for _, table in ledger(dataset, names):
        grouped = table.select(names).group_by(names).aggregate([([], "count_all")])
        for row in grouped.to_pylist():
            cells[tuple(row[name] for name in names)] += row["count_all"]
    totals = dict.fromkeys(VERDICTS, 0)
    reasons: Counter[tuple[str, str]] = Counter()
    for (verdict, reason, *_), rows in cells.items():
        totals[verdict] = totals.get(verdict, 0) + rows
        if verdict != "kept":
            reasons[verdict, reason or "no reason given"] += rows
    ordered = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    counted = tuple(ReasonCount(verdict, reason, n) for (verdict, reason), n in ordered)
    return Verdicts(totals, counted, _matrix(cells))


def _matrix(cells: Counter[tuple[Any, ...]]) -> tuple[LicenseRow, ...]:
    lines: dict[tuple[str | None, str | None], LicenseRow] = {}
    for (verdict, _, license_id, group, level), rows in cells.items():
        place = (license_id, group if license_id else None)
        line = lines.setdefault(
            place,
            LicenseRow(*place, dict.fromkeys(VERDICTS, 0), dict.fromkeys(LEVELS, 0)),
        )
        line.verdicts[verdict] = line.verdicts.get(verdict, 0) + rows
        if verdict == "kept":
            line.levels[level] = line.levels.get(level, 0) + rows
    order = sorted(
        lines.values(),
        key=lambda line: (line.license is None, -line.verdicts.get("kept", 0), -line.total,
                          line.license or ""),
    )  # fmt: skip
    return _fold(order)


def _fold(lines: list[LicenseRow]) -> tuple[LicenseRow, ...]:
    """The first lines as they are, the long tail as one line that says how many it holds."""
    if len(lines) <= MATRIX_ROWS:
        return tuple(lines)
    tail = lines[MATRIX_ROWS - 1 :]
    verdicts: Counter[str] = Counter(dict.fromkeys(VERDICTS, 0))
    levels: Counter[int | None] = Counter(dict.fromkeys(LEVELS, 0))
    for line in tail:
        verdicts.update(line.verdicts)
        levels.update(line.levels)
    rest = LicenseRow("other licences", None, dict(verdicts), dict(levels), folded=len(tail))
    return (*lines[: MATRIX_ROWS - 1], rest)


def funnel(steps: Iterable[dict[str, Any]], verdicts: Verdicts) -> tuple[FunnelStep, ...]:
    """The record's funnel with each reason's verdict taken from the ledger.

    Items are {layer, stage, rows_in, rows_out, marked: {reason: rows}}.
    """
    known = {counted.reason: counted.verdict for counted in verdicts.reasons}
    drawn = []
    for step in steps:
        marked = tuple(
            ReasonCount(known.get(reason, "rejected"), reason, int(rows))
            for reason, rows in sorted(step["marked"].items(), key=lambda item: (-item[1], item[0]))
        )
        lost: Counter[str] = Counter()
        for reason_count in marked:
            lost[reason_count.verdict] += reason_count.rows
        names, rows = (step["layer"], step["stage"]), (step["rows_in"], step["rows_out"])
        drawn.append(FunnelStep(*names, *rows, marked, dict.fromkeys(VERDICTS, 0) | lost))
    return tuple(drawn)
