"""Found against planted: precision and recall of every planted fault, from truth and ledger alone.

A fault counts as found when its row has a reason of that fault: a row lost for another reason is
missed, and the note says where it went. Rows that CLIP cannot tell apart are scored like all
others, so that what is missed shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from curate.demo.corpus import GOOD
from curate.demo.faults import FAULTS, ODDITIES, Fault
from curate.errors import MissingInput

ACCEPTED_GROUPS: Final = ("open", "sharealike")
"""What the demo's licence policy lets in."""

_NEVER_JUDGED: Final = frozenset({"malformed", "license"})  # no licence was accepted for these
_AFTER_DUPLICATES: Final = frozenset({"duplicate", "clip_score", "numeric", "removed"})


@dataclass(frozen=True)
class FaultScore:
    """One line of the table: `precision` or `recall` is None where there is nothing to divide by.

    For faults `found` counts planted rows that got the reason of their fault; for rows to be kept
    it counts those that were.
    """

    fault: str
    planted: int
    found: int
    precision: float | None
    recall: float | None
    note: str = ""


@dataclass(frozen=True)
class _Case:
    """One planted row with its truth and its verdict."""

    key: str
    fault: str
    oddity: str | None
    license: str
    license_group: str | None
    cluster: int | None
    cluster_kind: str | None
    cluster_rank: int | None
    verdict: str | None = None
    reason: str | None = None
    related_key: str | None = None
    found_license: str | None = None

    @property
    def kept(self) -> bool:
        return self.verdict == "kept"

    @property
    def kind(self) -> str:
        """The kind of its reason; empty for kept rows and for rows that the ledger has not."""
        return (self.reason or "").partition(":")[0]

    @property
    def licence_accepted(self) -> bool:
        return self.verdict is not None and self.kind not in _NEVER_JUDGED

    @property
    def reached_duplicates(self) -> bool:
        return self.kept or self.kind in _AFTER_DUPLICATES

    @property
    def outcome(self) -> str:
        return "kept" if self.kept else self.reason or "not in the ledger"


_TRUTH: Final = (
    "key", "fault", "oddity", "license", "license_group", "cluster", "cluster_kind", "cluster_rank",
)  # fmt: skip
_LEDGER: Final = ("key", "verdict", "reason", "related_key", "license")


def score(
    truth_path: str | Path, ledger: pa.Table, *,
    accepted_groups: Collection[str] = ACCEPTED_GROUPS,
) -> list[FaultScore]:  # fmt: skip
    """Scores in the order of the pipeline: rows, licences, each fault, each oddity, good rows.

    `truth_path` is a corpus's truth.parquet; `ledger` has columns of `curate.columns.LEDGER`.
    `accepted_groups` are the licence groups of the recipe's policy: rows of a group in it are no
    licence fault. Raises MissingInput where there is no truth.
    """
    cases = _cases(Path(truth_path), ledger, accepted_groups)
    faults = [
        _duplicates(cases, fault, name.removeprefix("duplicate_"))
        if name.startswith("duplicate_") else _fault(cases, name, fault)
        for name, fault in FAULTS.items()
    ]  # fmt: skip
    oddities = [_oddity(cases, name, title) for name, (title, _) in ODDITIES.items()]
    return [
        _accounted(cases, ledger), _licence_decisions(cases, accepted_groups),
        _licence_ids(cases, accepted_groups), *faults, *oddities, _good_rows(cases),
    ]  # fmt: skip


def _cases(path: Path, ledger: pa.Table, accepted_groups: Collection[str]) -> list[_Case]:
    if not path.is_file():
        raise MissingInput(f"{path} is missing: only a corpus with planted truth can be scored")
    verdicts = {row["key"]: row for row in ledger.select(list(_LEDGER)).to_pylist()}
    cases = []
    for fact in pq.read_table(path, columns=list(_TRUTH)).to_pylist():
        case = _Case(**fact)
        if case.fault == "license_noncommercial" and case.license_group in accepted_groups:
            case = replace(case, fault=GOOD)
        if (row := verdicts.get(case.key)) is not None:
            case = replace(
                case, verdict=row["verdict"], reason=row["reason"],
                related_key=row["related_key"], found_license=row["license"],
            )  # fmt: skip
        cases.append(case)
    return cases


# --- all rows -----------------------------------------------------------------------------------------
def _accounted(cases: Sequence[_Case], ledger: pa.Table) -> FaultScore:
    """Every planted row is in the ledger, once, and nothing else is."""
    found = sum(case.verdict is not None for case in cases)
    strange = len(ledger) - found
    note = f"{strange} ledger rows that were never planted, or twice" if strange else ""
    return FaultScore(
        "rows accounted for", len(cases), found, _ratio(found, len(ledger)),
        _ratio(found, len(cases)), note,
    )  # fmt: skip


def _licence_decisions(cases: Sequence[_Case], groups: Collection[str]) -> FaultScore:
    """Accepted against should be accepted; rows that are malformed have no licence to judge."""
    judged = [case for case in cases if case.fault != "malformed"]
    wanted = [case for case in judged if case.license_group in groups]
    accepted = [case for case in judged if case.licence_accepted]
    right = sum(case.licence_accepted for case in wanted)
    note = _and(
        _some(len(accepted) - right, "wrongly accepted"),
        _some(len(wanted) - right, "wrongly refused"),
    )
    return FaultScore(
        "licence: accepted", len(wanted), right, _ratio(right, len(accepted)),
        _ratio(right, len(wanted)), note,
    )  # fmt: skip


def _licence_ids(cases: Sequence[_Case], groups: Collection[str]) -> FaultScore:
    """Canonical ids of accepted rows, letter by letter."""
    wanted = [case for case in cases if case.fault != "malformed" and case.license_group in groups]
    named = [case for case in cases if case.licence_accepted and case.found_license is not None]
    named = [case for case in named if case.fault != "malformed"]
    right = sum(case.found_license == case.license for case in named)
    wrong = Counter(
        f"{case.found_license} for {case.license}"
        for case in named if case.found_license != case.license
    )  # fmt: skip
    return FaultScore(
        "licence: exact id", len(wanted), right, _ratio(right, len(named)),
        _ratio(right, len(wanted)), _listed(wrong),
    )  # fmt: skip


# --- faults -------------------------------------------------------------------------------------------
def _fault(cases: Sequence[_Case], name: str, fault: Fault) -> FaultScore:
    """Recall over the rows of this fault; precision over all rows that got its reason.

    Faults with one reason (five of licence, three of caption) cannot be told apart in a ledger,
    so they share one precision: a row is rightly rejected if it has any of them.
    """
    kin = {other for other, its in FAULTS.items() if set(its.reasons) & set(fault.reasons)}
    planted = [case for case in cases if case.fault == name]
    found = [case for case in planted if _matches(case, fault.reasons)]
    marked = [case for case in cases if _matches(case, fault.reasons)]
    right = sum(case.fault in kin for case in marked)
    missed = _missed(case for case in planted if not _matches(case, fault.reasons))
    lost = _good_pairs_lost(cases) if name == "caption_random" else ""
    return FaultScore(
        fault.title, len(planted), len(found), _ratio(right, len(marked)),
        _ratio(len(found), len(planted)), _and(missed, lost, fault.note if missed else ""),
    )  # fmt: skip


def _good_pairs_lost(cases: Sequence[_Case]) -> str:
    judged = [c for c in cases if c.fault == GOOD and (c.kept or c.kind == "clip_score")]
    lost = sum(case.kind == "clip_score" for case in judged)
    share = _ratio(lost, len(judged))
    return "" if share is None else f"{lost} good pairs lost ({share:.1%})"


def _duplicates(cases: Sequence[_Case], fault: Fault, kind: str) -> FaultScore:
    """Of each cluster all rows but one should go, whichever of them got as far as the barrier.

    A row of the cluster that fell earlier is no duplicate any more: the best of the others should
    stay. Rejecting a whole cluster counts as one false rejection.
    """
    expected = found = right_reason = survivors = misdirected = 0
    clusters = _clusters(cases, kind)
    for members in clusters:
        there = sorted(
            (case for case in members if case.reached_duplicates), key=lambda c: c.cluster_rank or 0
        )
        gone = [case for case in there if case.kind == "duplicate"]
        most = max(0, len(there) - 1)
        expected += most
        found += min(len(gone), most)
        right_reason += min(sum(case.reason == f"duplicate:{kind}" for case in gone), most)
        survivors += [case for case in there if case.kind != "duplicate"] == there[:1]
        misdirected += sum(case.related_key != there[0].key for case in gone)
    marked = sum(case.reason == f"duplicate:{kind}" for case in cases)
    planted = sum(case.fault == f"duplicate_{kind}" for case in cases)
    note = _and(
        f"the right one stays in {survivors} of {len(clusters)} clusters",
        _some(planted - expected, "of the cluster's rows fell earlier"),
        _some(misdirected, "name another survivor"),
    )
    return FaultScore(
        fault.title, planted, found, _ratio(right_reason, marked), _ratio(found, expected), note
    )


def _clusters(cases: Iterable[_Case], kind: str) -> list[list[_Case]]:
    clusters: dict[int, list[_Case]] = {}
    for case in cases:
        if case.cluster is not None and case.cluster_kind == kind:
            clusters.setdefault(case.cluster, []).append(case)
    return list(clusters.values())


# --- rows to be kept ----------------------------------------------------------------------------------
def _oddity(cases: Sequence[_Case], name: str, title: str) -> FaultScore:
    planted = [case for case in cases if case.oddity == name]
    kept = sum(case.kept for case in planted)
    missed = _missed(case for case in planted if not case.kept)
    return FaultScore(title, len(planted), kept, None, _ratio(kept, len(planted)), missed)


def _good_rows(cases: Sequence[_Case]) -> FaultScore:
    """Good rows that were kept, oddities among them; precision: of the kept rows, the good ones."""
    good = [case for case in cases if case.fault == GOOD]
    kept = sum(case.kept for case in good)
    all_kept = sum(case.kept for case in cases)
    missed = _missed(case for case in good if not case.kept)
    return FaultScore(
        "good rows, to be kept", len(good), kept, _ratio(kept, all_kept), _ratio(kept, len(good)),
        missed,
    )  # fmt: skip


# --- small words --------------------------------------------------------------------------------------
def _matches(case: _Case, reasons: Sequence[str]) -> bool:
    return case.reason is not None and any(
        case.reason == reason or case.reason.startswith(f"{reason}:") for reason in reasons
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _missed(cases: Iterable[_Case]) -> str:
    outcomes = Counter(case.outcome for case in cases)
    return f"missed: {_listed(outcomes)}" if outcomes else ""


def _listed(counted: Counter[str], most: int = 4) -> str:
    shown = [f"{count} {what}" for what, count in counted.most_common(most)]
    rest = sum(counted.values()) - sum(count for _, count in counted.most_common(most))
    return ", ".join([*shown, f"{rest} more"] if rest else shown)


def _some(count: int, what: str) -> str:
    return f"{count} {what}" if count else ""


def _and(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
