"""Every check that follows rows: what is read of a part serves them all.

Small parts are judged together first; only where that is no all-clear, one by one. Rows are judged
while other threads still hash; what was found in a part whose files turn out to be damaged is left
out, since the damage is said already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from curate.engine import Layers
from curate.errors import CurateError
from curate.plan import Plan
from curate.provenance import chain, derived, evidence, partition, rejudge, removals
from curate.provenance.evidence import Evidence
from curate.provenance.findings import Few
from curate.provenance.merged import Batch, MergedDataset, Parts
from curate.provenance.narrow import NarrowDataset
from curate.provenance.partition import Tally
from curate.provenance.promises import Findings, Kept
from curate.recipe import Recipe
from curate.store.dataset import Dataset
from curate.store.manifest import Shard

CANNOT_JUDGE = (*chain.READ_ERRORS, LookupError, ArithmeticError, TypeError, CurateError)
"""What forged columns and values raise in code that is right to expect the real ones."""

Check = tuple[Kept, Callable[[str, Mapping[str, Shard]], Iterable[str]]]
"""The promise that a check is for, and its problems in a part given its shard in each layer."""


@dataclass
class Judged:
    """What the checks found in one part, in their order."""

    found: list[Few]
    tally: Tally = field(default_factory=Tally)
    evidence: Evidence = field(default_factory=Evidence)


@dataclass
class RowChecks:
    """The checks of a dataset's rows, and what they found in each part."""

    dataset: NarrowDataset
    recipe: Recipe | None
    plan: Plan | None
    parts: Parts
    judged: dict[str, Judged] = field(default_factory=dict)
    clear: list[tuple[tuple[str, ...], Judged]] = field(default_factory=list)
    barriers: Few = field(default_factory=Few)
    log: Few = field(default_factory=Few)

    def run(self, commits: Layers) -> None:
        """Judge every part that is whole, then the barriers over all of them."""
        merged = MergedDataset(self.dataset)
        layers = len(self.dataset.manifest.layers)
        for batch in merged.batches(self.parts, layers):
            judged = self._together(merged, batch)
            if judged is not None:
                self.clear.append((batch.parts, judged))
                continue
            for part in batch.parts:
                self.judged[part] = self._one(part)
        recipe, plan = self.recipe, self.plan
        if recipe is None:
            return
        self.barriers.take(
            guarded(lambda: rejudge.check_barriers(self.dataset, recipe, commits), "the barriers")
        )
        if plan is not None:
            self.log.take(
                guarded(lambda: removals.check_log(self.dataset, plan, recipe), "removals")
            )

    def _together(self, merged: MergedDataset, batch: Batch) -> Judged | None:
        """What a batch of parts adds up to if there is nothing to say of it, else None."""
        try:
            if not merged.in_range(batch, self.parts):
                return None
        except CANNOT_JUDGE:
            return None
        judged = self._judge(merged, batch.name, batch.shards)
        return None if any(few.told() for few in judged.found) else judged

    def _one(self, part: str) -> Judged:
        return self._judge(self.dataset, part, self.parts[part])

    def _judge(self, dataset: Dataset, part: str, shards: Mapping[str, Shard]) -> Judged:
        """Run all checks over one part, or over shards that stand for several."""
        judged = Judged([])
        for _, check in self._checks(dataset, judged):
            few = Few()
            few.take(guarded(lambda check=check: check(part, shards), f"part {part}"))  # type: ignore[misc]
            judged.found.append(few)
        return judged

    def _checks(self, dataset: Dataset, judged: Judged) -> list[Check]:
        """What is asked of rows; counting checks add to what is judged."""
        recipe, tally, count = self.recipe, judged.tally, judged.evidence
        found: list[Check] = [
            (Kept.CONSERVATION, lambda part, shards: partition.check_part(
                dataset, part, shards, tally)),
        ]  # fmt: skip
        if recipe is None:
            return found
        return [
            *found,
            (Kept.SAME_DATA, lambda part, shards: rejudge.check_candidates(
                dataset, recipe, part, shards)),
            (Kept.LICENSE_FIRST, lambda part, shards: evidence.check_fetched(
                dataset, recipe, part, shards, count)),
            (Kept.EVIDENCE, lambda part, shards: evidence.check_evidence(
                dataset, recipe, part, shards, count)),
            (Kept.EVIDENCE, lambda part, shards: derived.check_derived(
                dataset, recipe, part, shards)),
            (Kept.LINEAGE, removals.part_check(dataset, recipe)),
        ]  # fmt: skip

    def file(self, findings: Findings, damaged: Callable[[str], bool]) -> tuple[Tally, Evidence]:
        """File what was found in the parts that are not damaged; returns what they add up to."""
        tally, count = Tally(), Evidence()
        for parts, judged in self.clear:
            if any(damaged(part) for part in parts):
                self.judged |= {part: self._one(part) for part in parts if not damaged(part)}
            else:
                tally.add(judged.tally)
                count.add(judged.evidence)
        whole = [self.judged[part] for part in sorted(self.judged) if not damaged(part)]
        for judged in whole:
            tally.add(judged.tally)
            count.add(judged.evidence)
        for place, (promise, _) in enumerate(self._checks(self.dataset, Judged([]))):
            few = Few()
            for judged in whole:
                few.merge(judged.found[place])
            for problem in few.told():
                licensed = promise is Kept.SAME_DATA and _of_license(problem)
                findings.add(Kept.LICENSE_FIRST if licensed else promise, [problem])
        return tally, count


def guarded(check: Callable[[], Iterable[str]], what: str) -> Iterator[str]:
    """The problems of a check, and one more if forged data stops it."""
    try:
        yield from check()
    except CANNOT_JUDGE as error:
        first = (str(error).splitlines() or [""])[0]
        yield f"{what} cannot be judged: {type(error).__name__}: {first}"


def _of_license(problem: str) -> bool:
    """Whether a verdict or value that was not the one derived again is about a licence."""
    return any(word in problem for word in ("license", "evidence_level", "is of group", "claims"))
