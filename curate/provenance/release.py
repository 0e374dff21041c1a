"""What may be handed on together: the release check, and a dataset seen through some licence groups.

Groups lie in shards of their own, so a release of some of them needs no shard rewritten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from curate import columns as c
from curate.errors import RecipeError, ReleaseRefused
from curate.license.policy import GROUPS, NAMES, Clash, Group, clashes, releases, takes
from curate.license.tools import find
from curate.provenance.licensing import counted, kept_rows
from curate.store.dataset import Dataset
from curate.store.manifest import Counts, Layer


@dataclass(frozen=True)
class Release:
    """What a release takes of a dataset: whole groups, and of those the licences it accepts.

    `accept` is a policy's name or a list of ids, None for every licence of the groups.
    """

    groups: tuple[Group, ...] = GROUPS
    accept: str | tuple[str, ...] | None = None

    def takes_part(self, part: str) -> bool:
        """Whether a part's group is in the release; a part without one is `open`."""
        return part_group(part) in self.groups

    def takes(self, license_id: str | None) -> bool:
        """Whether a row of this licence is in it."""
        return self.accept is None or (license_id is not None and takes(self.accept, license_id))


def part_group(part: str) -> Group:
    """The licence group that a part's name ends in."""
    ending = part.rpartition("-")[2]
    return next((group for group in GROUPS if group == ending), "open")


def release(
    dataset: Dataset, *, groups: Sequence[str] | None = None, policy: str | Sequence[str] | None = None
) -> Release:  # fmt: skip
    """The release that groups and a policy describe, checked: by default all rows, if they may mix.

    `policy` is one of the named ones or licence ids (a list, or one text with commas between).

    A recipe's policy has already refused what it does not accept; what it may accept and still not
    mix is share-alike beside non-commercial rows, and two share-alike families.

    Raises ReleaseRefused naming licences, rows and the groups to leave out, or if a policy is asked
    of rows whose licences nobody audited; RecipeError for an unknown group, policy or id.
    """
    policy = _policy(policy)
    chosen = Release(_groups(groups), policy)
    if not dataset.manifest.license_audited:
        if policy is not None:
            raise ReleaseRefused("licence: not audited, so no policy can be held to these rows")
        return chosen
    rows = taken(dataset, chosen)
    if not rows and (groups is not None or policy is not None):
        raise ReleaseRefused(
            f"no kept row is in the groups {', '.join(chosen.groups)}"
            + (f" and accepted by {policy}" if policy is not None else "")
        )
    found = clashes(rows, policy)
    if found:
        raise ReleaseRefused(refusal(found, rows))
    return chosen


def taken(dataset: Dataset, chosen: Release) -> Counter[str]:
    """Rows by licence that a release holds."""
    rows: Counter[str] = Counter()
    for (license_id, _, _), count in kept_rows(view(dataset, chosen.groups)).items():
        if chosen.takes(license_id):
            rows[license_id] += count
    return rows


def refusal(found: Sequence[Clash], rows: Mapping[str, int]) -> str:
    """What may not be released together, and the releases that may."""
    lines = ["these rows are not one release (this project's rule of mixing, not law):"]
    lines += [f"  {clash}" for clash in found]
    without = [group for group in GROUPS if any(group in clash.groups for clash in found)]
    lines.append(f"leave out {' and '.join(without)}, or make releases apart:")
    lines += [f"  {group_options(groups)}" for groups in releases(rows)]
    return "\n".join(lines)


def group_options(groups: Sequence[str]) -> str:
    """Groups as `curate export` takes them."""
    return " ".join(f"--group {group}" for group in groups)


def view(dataset: Dataset, groups: Sequence[Group]) -> Dataset:
    """The dataset as if it held only the parts of these groups; digests stay those of the whole."""
    if set(groups) >= set(GROUPS):
        return dataset
    layers = [_limited(layer, groups) for layer in dataset.manifest.layers]
    seen = Dataset(dataset.files, dataset.manifest.model_copy(update={"layers": layers}))
    counts = _counts(seen)
    return Dataset(dataset.files, seen.manifest.model_copy(update={"counts": counts}))


def _limited(layer: Layer, groups: Sequence[Group]) -> Layer:
    shards = [shard for shard in layer.shards if part_group(shard.part) in groups]
    return layer.model_copy(update={"shards": shards})


def _counts(dataset: Dataset) -> Counts:
    """Verdicts of a view, from its ledgers."""
    tally: dict[str, Counter[str]] = {"kept": Counter(), "rejected": Counter(), "failed": Counter()}
    for table in dataset.tables("ledger", [c.VERDICT.name, c.REASON.name]):
        for row in counted(table, [c.VERDICT.name, c.REASON.name]):
            tally[row["verdict"]][row["reason"] or ""] += row["count_all"]
    return Counts(
        candidates=sum(each.total() for each in tally.values()), kept=tally["kept"].total(),
        rejected=dict(sorted(tally["rejected"].items())),
        failed=dict(sorted(tally["failed"].items())),
    )  # fmt: skip


def _policy(named: str | Sequence[str] | None) -> str | tuple[str, ...] | None:
    """A policy's name, or licence ids: a sequence of them, or one text with commas between."""
    if named is None or (isinstance(named, str) and named in NAMES):
        return named
    ids = named.split(",") if isinstance(named, str) else named
    if len(ids) == 1 and isinstance(named, str) and find(named.strip()) is None:
        return named  # neither: what reads it says so
    return tuple(id_.strip() for id_ in ids)


def _groups(names: Sequence[str] | None) -> tuple[Group, ...]:
    if names is None:
        return GROUPS
    unknown = sorted(set(names) - set(GROUPS))
    if unknown or not names:
        raise RecipeError(f"groups {unknown or 'of a release'}: choose from {', '.join(GROUPS)}")
    return tuple(group for group in GROUPS if group in names)
