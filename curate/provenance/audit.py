"""Re-derive every claim that a dataset makes, from its own files and nothing else.

The manifest says what should be there; commits, files, keys, licences, verdicts, counts and
digests are then worked out again and compared. A problem names the file or the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from pydantic import ValidationError

from curate.errors import ContractError, CurateError, MissingInput
from curate.plan import Plan
from curate.provenance import account, chain, identity, lineage, pages, partition, pictures, rejudge
from curate.provenance.findings import AuditResult, bounded
from curate.provenance.licensing import exceptions
from curate.recipe import FIRST_LAYER, Recipe, recipe_from
from curate.store.dataset import Dataset
from curate.store.files import LocalFiles
from curate.store.manifest import MANIFEST, Manifest, bytes_digest, dataset_digest

CANNOT_JUDGE = (*chain.READ_ERRORS, KeyError, ContractError)
"""What forged columns and values raise in code that is right to expect the real ones."""


def audit(path: str | Path, *, hashes: bool = False) -> AuditResult:
    """Audit a dataset directory.

    Without `hashes`: commits, sizes, footers, schemas, keys, licences, verdicts, counts and
    digests of the small layers. With it also every byte of every file and every picture.
    Memory is bounded by one part (and by what a barrier holds of its narrow columns). Raises
    MissingInput if there is no manifest.
    """
    files = LocalFiles(path)
    manifest, problems = _read_manifest(files)
    if manifest is None:
        return AuditResult(False, "", "", 0, {}, {}, problems, [], [])
    return _Audit(Dataset(files, manifest), problems, hashes=hashes).run()


def _read_manifest(files: LocalFiles) -> tuple[Manifest | None, list[str]]:
    """The manifest as far as it reads; an edited one is audited on, to say what was edited."""
    if not files.exists(MANIFEST):
        raise MissingInput(f"{files.path(MANIFEST)} does not exist: not a finished dataset")
    try:
        manifest = Manifest.model_validate_json(files.read(MANIFEST))
    except ValidationError as error:
        return None, [f"{MANIFEST} is damaged: {str(error).splitlines()[0]}"]
    problems = list(chain.check_digests(manifest))
    if files.read(MANIFEST) != manifest.to_bytes() and not problems:
        problems.append(f"{MANIFEST} was edited: its bytes are not those that were written")
    return manifest, problems


class _Audit:
    """One audit under way: what it reads, and what it has found so far."""

    def __init__(self, dataset: Dataset, problems: list[str], *, hashes: bool) -> None:
        self.dataset = dataset
        self.hashes = hashes
        self.problems = problems
        self.notes: list[str] = []
        self.verified: list[str] = []
        self.tally = partition.Tally()
        self.shards = partition.by_part(dataset)
        self.counted = pictures.PictureCount()

    def run(self) -> AuditResult:
        manifest = self.dataset.manifest
        self.problems += chain.check_layers(manifest)
        if any(
            f"layer {name!r}" in problem
            for problem in self.problems
            for name in ("plan", "images", "ledger")
        ):
            return self._result()
        self.chain = chain.follow(self.dataset, hashes=self.hashes)
        self.problems += self.chain.problems
        self.notes += bounded(chain.strays(self.dataset))
        plan, found = account.read_plan(self.dataset, self.chain)
        self.problems += found
        self.problems += account.check_rows(self.dataset)
        recipe = self._recipe(plan)
        if recipe is not None:
            self.problems += bounded(lineage.check_lineage(self.dataset, recipe, self.chain))
        if plan is not None and recipe is not None:
            self._each_layer(lambda: identity.check_identity(self.dataset, plan, recipe))
        self._each_part(self._conserved)
        sound = not any(self._damaged(part) for part in self.shards)
        if recipe is not None:
            self._each_part(lambda part: self._judged(recipe, part))
            if sound:
                self._barriers(recipe)
        self.problems += account.check_record(self.dataset, plan, recipe)
        if sound:
            self.problems += account.check_counts(self.dataset, self.tally)
            self.problems += account.check_funnel(self.dataset, self.tally)
        else:
            self._count_damaged()
        if sound:
            self.problems += bounded(pages.check_pages(self.dataset, hashes=self.hashes))
        if self.hashes:
            self._each_part(self._pictured)
        self._say(manifest, recipe)
        return self._result()

    def _recipe(self, plan: Plan | None) -> Recipe | None:
        if plan is None:
            return None
        try:
            return recipe_from(plan.recipe, origin="plan/PLAN.json")
        except CurateError as error:
            self.problems.append(f"plan/PLAN.json: its recipe does not load: {error}")
            return None

    def _each_layer(self, check: Callable[[], Iterable[str]]) -> None:
        """Run a check over the whole dataset; a damaged file that stops it has been said."""
        try:
            self.problems += bounded(check())
        except CANNOT_JUDGE as error:
            self.problems.append(f"cannot be judged: {error}")

    def _each_part(self, check: Callable[[str], Iterable[str]]) -> None:
        """Run a check over all parts; damage that stops it in one part does not stop the others."""

        def found() -> Iterable[str]:
            for part in self.shards:
                if self._damaged(part):
                    continue
                try:
                    yield from check(part)
                except CANNOT_JUDGE as error:
                    yield f"part {part} cannot be judged: {type(error).__name__}: {str(error).splitlines()[0]}"

        self.problems += bounded(found())

    def _damaged(self, part: str) -> bool:
        """Whether a small file of the part is damaged, which has been said already."""
        shards = self.shards[part]
        entries = [entry for shard in shards.values() for entry in shard.files]
        whole = len(shards) == len(self.dataset.manifest.layers)
        return not whole or any(entry.path in self.chain.unreadable for entry in entries)

    def _conserved(self, part: str) -> Iterable[str]:
        return partition.check_part(self.dataset, part, self.shards[part], self.tally)

    def _judged(self, recipe: Recipe, part: str) -> Iterable[str]:
        return rejudge.check_candidates(self.dataset, recipe, part, self.shards[part])

    def _pictured(self, part: str) -> Iterable[str]:
        entry = self.shards[part][FIRST_LAYER].file("data")
        return pictures.check_pictures(self.dataset, entry, self.counted) if entry else ()

    def _barriers(self, recipe: Recipe) -> None:
        try:
            self.problems += bounded(
                rejudge.check_barriers(self.dataset, recipe, self.chain.commits)
            )
        except CANNOT_JUDGE as error:
            self.problems.append(
                f"the barriers cannot be decided again: {str(error).splitlines()[0]}"
            )

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
                partition.count_ledger(self.dataset, shards["ledger"], self.tally)

    def _say(self, manifest: Manifest, recipe: Recipe | None) -> None:
        count = sum(len(shard.files) for layer in manifest.layers for shard in layer.shards)
        depth = (
            "every byte hashed"
            if self.hashes
            else "sizes, footers and schemas; small layers by content"
        )
        self.verified += [
            f"{count:,} files: {depth}",
            f"{self.tally.verdicts.total():,} candidates: one verdict each, followed through every layer",
            "dataset_digest and bytes_digest recomputed",
        ]
        if recipe is not None:
            again: list[str] = [
                stage.kind for stage in recipe.passes[0].stages if stage.kind in rejudge.PURE
            ]
            again += [step.barrier.kind for step in recipe.passes if step.barrier]
            self.verified.append(f"verdicts taken again: {', '.join(again) or 'none'}")
            made = ", ".join(lineage.made_by(recipe))
            self.verified.append(f"inputs of every shard worked out again: plan, {made}, ledger")
            self.notes += [
                f"the recipe accepts what the default refuses: {line}"
                for line in exceptions(recipe.model_dump(mode="json"))
            ]
        if not manifest.license_audited:
            self.notes.append("licence: not audited (the recipe has no licence stage)")
        if self.hashes:
            self.verified.append(
                f"{self.counted.pictures:,} pictures: bytes against stored_sha256, size; "
                f"{self.counted.pixels:,} of them against pixel_sha256 (lossy files cannot show it)"
            )
        self.notes.append("original_sha256 names bytes that were not kept: recorded, not verified")
        self.notes.append("evidence shows that a claim was made, not that it was true")

    def _result(self) -> AuditResult:
        manifest = self.dataset.manifest
        return AuditResult(
            ok=not self.problems,
            dataset_digest=dataset_digest(manifest.layers, manifest.tombstones),
            bytes_digest=bytes_digest(manifest.layers),
            kept=self.tally.kept, rejected=self.tally.by("rejected"), failed=self.tally.by("failed"),
            problems=self.problems, notes=self.notes, verified=self.verified,
        )  # fmt: skip
