"""Re-derive every claim that a dataset makes, from its own files and nothing else.

The manifest says what should be there; commits, files, keys, licences, verdicts, counts and
digests are then worked out again and compared. A problem names the file or the row, and is filed
under the promise that it breaks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from curate.errors import CurateError
from curate.plan import PLAN, Plan
from curate.provenance import (
    account,
    chain,
    identity,
    lineage,
    pages,
    partition,
    pictures,
    recheck_log,
    remade,
    removals,
)
from curate.provenance.findings import AuditResult, bounded
from curate.provenance.foreign import audit_foreign
from curate.provenance.narrow import NarrowDataset
from curate.provenance.promises import Findings, Kept
from curate.provenance.rows import RowChecks, guarded
from curate.provenance.telling import Seen, tell
from curate.recipe import Recipe, recipe_from
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, Manifest, bytes_digest, dataset_digest

SWITCH_SECONDS: Final = 0.0005
"""A tenth of what Python lets a busy thread keep its lock for."""
CREDITS_AGAIN: Final = 1_000
"""Kept rows up to which the credits are made again unasked; beyond, their pages are hashed."""


def audit(path: str | Path, *, hashes: bool = False, full: bool = False) -> AuditResult:
    """Audit a dataset directory, or data that another program made (see `audit_foreign`).

    Without `hashes`: commits, sizes, footers, schemas, keys, licences, verdicts, counts and
    digests of the small layers. With it also every byte of every file, every picture and model
    value. `full`, which includes `hashes`, decodes every picture and makes every credit again
    instead of a sample. Memory is bounded by one part, and by what a barrier holds of its narrow
    columns. Raises MissingInput if there is nothing to audit.
    """
    files = LocalFiles(path)
    if not files.exists(MANIFEST):
        return audit_foreign(Path(path), hashes=hashes or full)
    findings = Findings()
    manifest = _read_manifest(files, findings)
    if manifest is None:
        return AuditResult(
            False, "", "", 0, {}, {}, findings.problems, [], [], findings.promises()
        )  # fmt: skip
    dataset = NarrowDataset(files, manifest)
    return _Audit(dataset, findings, hashes=hashes or full, full=full).run()


@contextmanager
def _prompt_threads() -> Iterator[None]:
    """A thread that comes back from hashing gets Python's lock soon: it wants it for an instant."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


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
        self, dataset: NarrowDataset, findings: Findings, *, hashes: bool, full: bool
    ) -> None:
        self.dataset = dataset
        self.hashes, self.full = hashes, full
        self.findings = findings
        self.notes: list[str] = []
        self.seen = Seen(hashes=hashes)
        self.parts = partition.by_part(dataset)
        self.chain = chain.Chain()
        self.pages: list[str] = []
        self.again = full or dataset.manifest.counts.kept <= CREDITS_AGAIN

    def run(self) -> AuditResult:
        structure = list(chain.check_layers(self.dataset.manifest))
        self.findings.add(Kept.EXACTLY_ONCE, structure)
        needed = ("plan", "images", "ledger")
        if any(f"layer {name!r}" in problem for problem in structure for name in needed):
            return self._result([])
        self.chain = chain.read_commits(self.dataset)
        plan, found = account.read_plan(self.dataset, self.chain)
        recipe = self._recipe(plan)
        rows = RowChecks(self.dataset, recipe, plan, self.parts)
        self._look(recipe, rows)
        for promise, problem in self.chain.problems:
            self.findings.add(promise, [problem])
        self.notes += bounded(chain.strays(self.dataset))
        self.findings.add(Kept.LINEAGE, found)
        self.findings.add(Kept.CONSERVATION, account.check_rows(self.dataset))
        self._follow(plan, recipe, rows)
        self._account(plan, recipe)
        return self._result(tell(self.dataset, recipe, self.findings, self.seen))

    def _look(self, recipe: Recipe | None, rows: RowChecks) -> None:
        """Hash files on threads and judge rows and pages on this one, at the same time."""
        manifest = self.dataset.manifest
        check = pictures.picture_check(manifest, remade.tolerance(recipe), every=self.full)
        with _prompt_threads(), ThreadPoolExecutor(max_workers=1) as beside:
            files = beside.submit(
                chain.follow, self.dataset, self.chain, hashes=self.hashes, pictures=check
            )
            rows.run(self.chain.commits)
            told = pages.check_pages(self.dataset, hashes=self.hashes, again=self.again)
            self.pages = bounded(guarded(lambda: told, "the pages"))
            files.result()
        self.seen.pictures = self.chain.counted

    def _follow(self, plan: Plan | None, recipe: Recipe | None, rows: RowChecks) -> None:
        """Lineage, identities, and every part's rows through all layers."""
        add = self.findings.add
        if recipe is not None:
            made = guarded(
                lambda: lineage.check_lineage(self.dataset, recipe, self.chain), "lineage"
            )
            add(Kept.LINEAGE, bounded(made))
            if plan is not None:
                same = guarded(
                    lambda: identity.check_identity(self.dataset, plan, recipe), "identity"
                )
                add(Kept.SAME_DATA, bounded(same))
                self.notes += identity.other_versions(plan, recipe)
        self.seen.tally, self.seen.evidence = rows.file(self.findings, self._damaged)
        add(Kept.LINEAGE, rows.log.told())
        if told := removals.told(self.dataset):
            self.findings.looked(Kept.LINEAGE, told)
        if self._sound():
            add(Kept.SAME_DATA, rows.barriers.told())

    def _account(self, plan: Plan | None, recipe: Recipe | None) -> None:
        """The run's own account, the pages, and what was seen later."""
        self.findings.add(Kept.EVIDENCE, bounded(recheck_log.problems(self.dataset.files)))
        self.findings.add(Kept.LINEAGE, account.check_record(self.dataset, plan, recipe))
        if self._sound():
            tally = self.seen.tally
            self.findings.add(Kept.CONSERVATION, account.check_counts(self.dataset, tally))
            self.findings.add(Kept.CONSERVATION, account.check_funnel(self.dataset, tally))
            self.findings.add(Kept.EVIDENCE, self.pages)
            if self.hashes and not self.again:
                self.findings.unknown(Kept.EVIDENCE, "credits were not made again: ask with --full")
        else:
            self._count_damaged()

    def _sound(self) -> bool:
        return not any(self._damaged(part) for part in self.parts)

    def _recipe(self, plan: Plan | None) -> Recipe | None:
        """The recipe that the plan keeps; what is wrong with the plan itself is said elsewhere."""
        if plan is None:
            return None
        try:
            return recipe_from(plan.recipe, origin=PLAN)
        except CurateError as error:
            self.findings.add(Kept.LINEAGE, [f"{PLAN}: its recipe does not load: {error}"])
            return None

    def _damaged(self, part: str) -> bool:
        """Whether a small file of the part is damaged, which has been said already."""
        shards = self.parts[part]
        entries = [entry for shard in shards.values() for entry in shard.files]
        whole = len(shards) == len(self.dataset.manifest.layers)
        return not whole or any(entry.path in self.chain.unreadable for entry in entries)

    def _count_damaged(self) -> None:
        """Damaged parts were not followed; their ledgers are counted where they can be read."""
        self.notes.append(
            "parts with damage were not followed: barriers, counts and funnel were not checked"
        )
        for shards in self.parts.values():
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
