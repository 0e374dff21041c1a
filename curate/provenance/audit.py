"""Re-derive every claim that a dataset makes, from its own files and nothing else.

The manifest says what should be there; commits, files, keys, licences, verdicts, counts and
digests are then worked out again and compared. A problem names the file or the row, and is filed
under the promise that it breaks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import ValidationError

from curate.errors import CurateError, MissingInput
from curate.plan import PLAN, Plan
from curate.provenance import (
    account,
    chain,
    derived,
    evidence,
    identity,
    lineage,
    pages,
    partition,
    pictures,
    rejudge,
    remade,
    removals,
)
from curate.provenance.findings import AuditResult, bounded
from curate.provenance.promises import Findings, Kept
from curate.provenance.telling import Seen, tell
from curate.recipe import Recipe, recipe_from
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, Manifest, bytes_digest, dataset_digest

CANNOT_JUDGE = (*chain.READ_ERRORS, KeyError, TypeError, CurateError)
"""What forged columns and values raise in code that is right to expect the real ones."""


def audit(path: str | Path, *, hashes: bool = False, pixels: bool = False) -> AuditResult:
    """Audit a dataset directory.

    Without `hashes`: commits, sizes, footers, schemas, keys, licences, verdicts, counts and
    digests of the small layers. With it also every byte of every file, every picture and model
    value; `pixels` (which asks for `hashes` too) decodes every picture instead of a sample. Memory
    is bounded by one part, and by what a barrier holds of its narrow columns. Raises MissingInput
    if there is no manifest.
    """
    files = LocalFiles(path)
    if not files.exists(MANIFEST):
        raise MissingInput(f"{files.path(MANIFEST)} does not exist: not a finished dataset")
    findings = Findings()
    manifest = _read_manifest(files, findings)
    if manifest is None:
        return AuditResult(
            False, "", "", 0, {}, {}, findings.problems, [], [], findings.promises()
        )  # fmt: skip
    return _Audit(Dataset(files, manifest), findings, hashes=hashes or pixels, pixels=pixels).run()


def _read_manifest(files: LocalFiles, findings: Findings) -> Manifest | None:
    """The manifest as far as it reads; an edited one is audited on, to say what was edited."""
    try:
        manifest = Manifest.model_validate_json(files.read(MANIFEST))
    except ValidationError as error:
        findings.add(Kept.SAME_DATA, [f"{MANIFEST} is damaged: {str(error).splitlines()[0]}"])
        return None
    problems = list(chain.check_digests(manifest))
    if files.read(MANIFEST) != manifest.to_bytes() and not problems:
        problems.append(f"{MANIFEST} was edited: its bytes are not those that were written")
    findings.add(Kept.SAME_DATA, problems)
    return manifest


class _Audit:
    """One audit under way: what it reads, and what it has found so far."""

    def __init__(
        self, dataset: Dataset, findings: Findings, *, hashes: bool, pixels: bool
    ) -> None:  # fmt: skip
        self.dataset = dataset
        self.hashes, self.pixels = hashes, pixels
        self.findings = findings
        self.notes: list[str] = []
        self.seen = Seen(hashes=hashes)
        self.shards = partition.by_part(dataset)

    def run(self) -> AuditResult:
        structure = list(chain.check_layers(self.dataset.manifest))
        self.findings.add(Kept.EXACTLY_ONCE, structure)
        needed = ("plan", "images", "ledger")
        if any(f"layer {name!r}" in problem for problem in structure for name in needed):
            return self._result([])
        recipe = self._recipe()
        check = pictures.picture_check(
            self.dataset.manifest, remade.tolerance(recipe), every=self.pixels
        )
        self.chain = chain.follow(self.dataset, hashes=self.hashes, pictures=check)
        for promise, problem in self.chain.problems:
            self.findings.add(promise, [problem])
        self.seen.pictures = self.chain.counted
        self.notes += bounded(chain.strays(self.dataset))
        plan, found = account.read_plan(self.dataset, self.chain)
        self.findings.add(Kept.LINEAGE, found)
        self.findings.add(Kept.CONSERVATION, account.check_rows(self.dataset))
        self._follow_rows(plan, recipe)
        self._account(plan, recipe)
        return self._result(tell(self.dataset, plan, recipe, self.findings, self.seen))

    def _follow_rows(self, plan: Plan | None, recipe: Recipe | None) -> None:
        """Lineage, identities, and every part's rows through all layers."""
        if recipe is not None:
            self._each_layer(
                Kept.LINEAGE, lambda: lineage.check_lineage(self.dataset, recipe, self.chain)
            )
        if plan is not None and recipe is not None:
            self._each_layer(
                Kept.SAME_DATA, lambda: identity.check_identity(self.dataset, plan, recipe)
            )
            self.notes += identity.other_versions(plan, recipe)
        self._each_part(Kept.CONSERVATION, self._conserved)
        if recipe is None:
            return
        self._each_part(Kept.SAME_DATA, lambda part: self._judged(recipe, part))
        self._each_part(Kept.LICENSE_FIRST, lambda part: self._fetched(recipe, part))
        self._each_part(Kept.EVIDENCE, lambda part: self._evident(recipe, part))
        self._each_part(Kept.EVIDENCE, lambda part: self._derived(recipe, part))
        self._removed(plan, recipe)
        if self._sound():
            self._each_layer(
                Kept.SAME_DATA,
                lambda: rejudge.check_barriers(self.dataset, recipe, self.chain.commits),
            )

    def _account(self, plan: Plan | None, recipe: Recipe | None) -> None:
        """The run's own account, and the pages."""
        self.findings.add(Kept.LINEAGE, account.check_record(self.dataset, plan, recipe))
        if self._sound():
            tally = self.seen.tally
            self.findings.add(Kept.CONSERVATION, account.check_counts(self.dataset, tally))
            self.findings.add(Kept.CONSERVATION, account.check_funnel(self.dataset, tally))
            told = bounded(pages.check_pages(self.dataset, hashes=self.hashes))
            self.findings.add(Kept.EVIDENCE, told)
        else:
            self._count_damaged()

    def _sound(self) -> bool:
        return not any(self._damaged(part) for part in self.shards)

    def _recipe(self) -> Recipe | None:
        """The recipe that the plan keeps; what is wrong with the plan itself is said later."""
        try:
            plan = Plan.model_validate_json(self.dataset.files.read(PLAN))
        except (CurateError, ValueError, OSError):
            return None
        try:
            return recipe_from(plan.recipe, origin=PLAN)
        except CurateError as error:
            self.findings.add(Kept.LINEAGE, [f"{PLAN}: its recipe does not load: {error}"])
            return None

    def _each_layer(self, promise: Kept, check: Callable[[], Iterable[str]]) -> None:
        """Run a check over the whole dataset; a damaged file that stops it has been said."""
        try:
            self.findings.add(promise, bounded(check()))
        except CANNOT_JUDGE as error:
            self.findings.add(promise, [f"cannot be judged: {_first_line(error)}"])

    def _each_part(self, promise: Kept, check: Callable[[str], Iterable[str]]) -> None:
        """Run a check over all parts; damage that stops it in one part does not stop the others."""

        def found() -> Iterable[str]:
            for part in self.shards:
                if self._damaged(part):
                    continue
                try:
                    yield from check(part)
                except CANNOT_JUDGE as error:
                    kind = type(error).__name__
                    yield f"part {part} cannot be judged: {kind}: {_first_line(error)}"

        for problem in bounded(found()):
            licensed = promise is Kept.SAME_DATA and _of_license(problem)
            self.findings.add(Kept.LICENSE_FIRST if licensed else promise, [problem])

    def _damaged(self, part: str) -> bool:
        """Whether a small file of the part is damaged, which has been said already."""
        shards = self.shards[part]
        entries = [entry for shard in shards.values() for entry in shard.files]
        whole = len(shards) == len(self.dataset.manifest.layers)
        return not whole or any(entry.path in self.chain.unreadable for entry in entries)

    def _conserved(self, part: str) -> Iterable[str]:
        return partition.check_part(self.dataset, part, self.shards[part], self.seen.tally)

    def _judged(self, recipe: Recipe, part: str) -> Iterable[str]:
        return rejudge.check_candidates(self.dataset, recipe, part, self.shards[part])

    def _fetched(self, recipe: Recipe, part: str) -> Iterable[str]:
        shards, count = self.shards[part], self.seen.evidence
        return evidence.check_fetched(self.dataset, recipe, part, shards, count)

    def _evident(self, recipe: Recipe, part: str) -> Iterable[str]:
        shards, count = self.shards[part], self.seen.evidence
        return evidence.check_evidence(self.dataset, recipe, part, shards, count)

    def _derived(self, recipe: Recipe, part: str) -> Iterable[str]:
        return derived.check_derived(self.dataset, recipe, part, self.shards[part])

    def _removed(self, plan: Plan | None, recipe: Recipe) -> None:
        """Removals: the log and its receipts, and each part's rows against it."""
        if plan is not None:
            self._each_layer(Kept.LINEAGE, lambda: removals.check_log(self.dataset, plan, recipe))
        check = removals.part_check(self.dataset, recipe)
        self._each_part(Kept.LINEAGE, lambda part: check(part, self.shards[part]))
        if told := removals.told(self.dataset):
            self.findings.looked(Kept.LINEAGE, told)

    def _count_damaged(self) -> None:
        """Damaged parts were not followed; their ledgers are counted where they can be read."""
        self.notes.append(
            "parts with damage were not followed: barriers, counts and funnel were not checked"
        )
        for shards in self.shards.values():
            entries = [entry for shard in shards.values() for entry in shard.files]
            damaged = any(entry.path in self.chain.unreadable for entry in entries)
            ledger = shards["ledger"].file("data") if "ledger" in shards else None
            if damaged and ledger and ledger.path not in self.chain.unreadable:
                partition.count_ledger(self.dataset, shards["ledger"], self.seen.tally)

    def _result(self, notes: list[str]) -> AuditResult:
        manifest, tally = self.dataset.manifest, self.seen.tally
        return AuditResult(
            ok=not self.findings.problems,
            dataset_digest=dataset_digest(manifest.layers, manifest.tombstones),
            bytes_digest=bytes_digest(manifest.layers),
            kept=tally.kept, rejected=tally.by("rejected"), failed=tally.by("failed"),
            problems=self.findings.problems, notes=[*self.notes, *notes],
            verified=self.seen.verified, promises=self.findings.promises(),
        )  # fmt: skip


def _of_license(problem: str) -> bool:
    """Whether a verdict or value that was not the one derived again is about a licence."""
    return any(word in problem for word in ("license", "evidence_level", "is of group", "claims"))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
