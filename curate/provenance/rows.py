"""Every check that follows rows, part by part: what is read of a part serves them all.

Parts are judged while other threads still hash; what was found in a part whose files turn out to
be damaged is left out, since the damage is said already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from curate.engine import Layers
from curate.errors import CurateError
from curate.plan import Plan
from curate.provenance import chain, derived, evidence, partition, rejudge, removals
from curate.provenance.evidence import Evidence
from curate.provenance.findings import Few
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

    dataset: Dataset
    recipe: Recipe | None
    plan: Plan | None
    parts: Mapping[str, Mapping[str, Shard]]
    judged: dict[str, Judged] = field(default_factory=dict)
    barriers: Few = field(default_factory=Few)
    log: Few = field(default_factory=Few)

    def run(self, commits: Layers) -> None:
        """Judge every part that is whole, then the barriers over all of them."""
        checks = self._checks()
        layers = len(self.dataset.manifest.layers)
        for part, shards in self.parts.items():
            if len(shards) == layers:
                self.judged[part] = self._part(part, shards, checks)
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

    def _checks(self) -> list[Check]:
        """What is asked of every part; counting checks add to the part under way."""
        dataset, recipe = self.dataset, self.recipe
        found: list[Check] = [
            (Kept.CONSERVATION, lambda part, shards: partition.check_part(
                dataset, part, shards, self.judged[part].tally)),
        ]  # fmt: skip
        if recipe is None:
            return found
        removed = removals.part_check(dataset, recipe)
        return [
            *found,
            (Kept.SAME_DATA, lambda part, shards: rejudge.check_candidates(
                dataset, recipe, part, shards)),
            (Kept.LICENSE_FIRST, lambda part, shards: evidence.check_fetched(
                dataset, recipe, part, shards, self.judged[part].evidence)),
            (Kept.EVIDENCE, lambda part, shards: evidence.check_evidence(
                dataset, recipe, part, shards, self.judged[part].evidence)),
            (Kept.EVIDENCE, lambda part, shards: derived.check_derived(
                dataset, recipe, part, shards)),
            (Kept.LINEAGE, removed),
        ]  # fmt: skip

    def _part(self, part: str, shards: Mapping[str, Shard], checks: Sequence[Check]) -> Judged:
        judged = self.judged[part] = Judged([Few() for _ in checks])
        for (_, check), few in zip(checks, judged.found, strict=True):
            few.take(guarded(lambda check=check: check(part, shards), f"part {part}"))  # type: ignore[misc]
        return judged

    def file(self, findings: Findings, damaged: Callable[[str], bool]) -> tuple[Tally, Evidence]:
        """File what was found in the parts that are not damaged; returns what they add up to."""
        tally, count = Tally(), Evidence()
        whole = [judged for part, judged in self.judged.items() if not damaged(part)]
        for judged in whole:
            tally.add(judged.tally)
            count.add(judged.evidence)
        for place, (promise, _) in enumerate(self._checks() if whole else ()):
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
