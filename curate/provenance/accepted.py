"""What a kept row rests on that the defaults refuse: said with its credit, wherever the row goes.

The recipe's lines are told for the whole dataset (curate.provenance.licensing.exceptions); here is
which row needed which of them, from the row itself and from what was observed at its fetch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.license.evidence import DECLARED_BASIS, LADDER
from curate.license.reservations import ROBOTS_TXT, TDM_RESERVATION, Unreadable, x_robots_tag
from curate.provenance.licensing import FLOOR, HONOURED, NO_FILE, exceptions, known_tool
from curate.stages.download import Download
from curate.store.dataset import Dataset
from curate.store.manifest import RECORD, Shard

METADATA: Final = b"curate.exceptions"
"""Schema metadata of tables of credits: the recipe's lines, as a JSON list."""
BY_RECIPE: Final = "taken so by this dataset's recipe"
NOT_HONOURED: Final = "which this dataset's recipe does not honour"
_SEEN: Final = (c.KEY, c.OBSERVED_AT, c.HTTP_STATUS, c.RESPONSE_HEADERS, c.RESERVATIONS)
_AGENT: Final = str(Download.model_fields["user_agent"].default)


@dataclass(frozen=True)
class Accepted:
    """One thing that the defaults refuse: the recipe's line that takes it, and it in words."""

    setting: str
    words: str


def recipe_exceptions(dataset: Dataset) -> tuple[str, ...]:
    """The lines by which the recipe of a dataset accepts what the defaults refuse."""
    return exceptions(dataset.record["recipe"]) if dataset.files.exists(RECORD) else ()


def accepted(row: Mapping[str, Any]) -> tuple[Accepted, ...]:
    """What one kept row of images/data rests on by its own columns (missing ones count as null)."""
    return (*_versionless(row), *_below_floor(row), *_reserved(row))


def _versionless(row: Mapping[str, Any]) -> Iterator[Accepted]:
    tool = known_tool(row.get("license"))
    if tool is not None and tool.kind == "versionless":
        name = tool.id.replace("CC-", "CC ", 1)
        yield Accepted(
            f"versionless: {tool.id}", f"{name}, version not stated at the source; {BY_RECIPE}"
        )


def _below_floor(row: Mapping[str, Any]) -> Iterator[Accepted]:
    """A declaration is on no rung and is told apart."""
    level = row.get("evidence_level")
    declared = str(row.get("license_basis") or "").startswith(DECLARED_BASIS)
    if row.get("license") is None or level is None or declared or f"L{level}" >= FLOOR:
        return
    words = LADDER.get(level, "unknown")
    yield Accepted(
        f"evidence_at_least: L{level}",
        f"Evidence for the licence: L{level}, {words}, below {FLOOR}; {BY_RECIPE}",
    )


def _reserved(row: Mapping[str, Any]) -> Iterator[Accepted]:
    """A picture that reserves its use is kept only where the recipe leaves the signal out."""
    found = sorted({item["signal"] for item in row.get(c.EMBEDDED_RESERVATIONS.name) or []})
    if found:
        names = ", ".join(found)
        yield Accepted(
            f"embedded: honour: without {names}",
            f"The picture's file reserves its use ({names}), {NOT_HONOURED}",
        )


# --- what was observed at the fetch ---------------------------------------------------------------
@dataclass(frozen=True)
class _Leniency:
    """What one download stage does not honour of the defaults."""

    signals: frozenset[str]
    statuses: frozenset[int]
    agents: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.signals or self.statuses)


class Unhonoured:
    """Reads, of a dataset's fetches, what was reserved there and not honoured by its recipe."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._lenient = _leniency(dataset)

    def of(self, shard: Shard, keys: Sequence[str] | None = None) -> dict[str, list[Accepted]]:
        """By key, for the rows of one shard of images (or some of them); memory: those rows."""
        entry = shard.file("observations")
        if not self._lenient or entry is None:
            return {}
        have = self._dataset.schema(entry).names
        table = self._dataset.read(entry, [f.name for f in _SEEN if f.name in have])
        if keys is not None:
            wanted = pa.array(list(keys), pa.string())
            table = table.filter(pc.is_in(table[c.KEY.name], value_set=wanted))
        rows = ((row["key"], list(_at_fetch(row, self._lenient))) for row in table.to_pylist())
        return {key: told for key, told in rows if told}


def _leniency(dataset: Dataset) -> _Leniency:
    recipe = dataset.record["recipe"] if dataset.files.exists(RECORD) else {"passes": []}
    for stage in (stage for step in recipe["passes"] for stage in step["stages"]):
        if stage["kind"] == "download":
            return _Leniency(
                frozenset(HONOURED) - set(stage.get("honour_reservations", HONOURED)),
                frozenset(stage.get("no_file_statuses", NO_FILE)) - set(NO_FILE),
                (str(stage.get("user_agent", _AGENT)).lower(), "img2dataset"),
            )
    return _Leniency(frozenset(), frozenset(), ())


def _at_fetch(row: Mapping[str, Any], lenient: _Leniency) -> Iterator[Accepted]:
    if row.get(c.HTTP_STATUS.name) is None:  # not fetched
        return
    looks = [look for look in _listed(row.get(c.RESERVATIONS.name)) if isinstance(look, dict)]
    found = sorted(_reserving(row, looks, lenient))
    if found:
        names = ", ".join(found)
        yield Accepted(
            f"honour_reservations: without {names}",
            f"Its use was reserved where it was fetched ({names}), {NOT_HONOURED}",
        )
    unasked = [name for name in (ROBOTS_TXT, TDM_RESERVATION)
               if name in lenient.signals and name not in found]  # fmt: skip
    if unasked:
        names = " and ".join(unasked)
        yield Accepted(
            f"honour_reservations: without {', '.join(unasked)}",
            f"Reservations by {names} were not asked for, as this dataset's recipe has it",
        )
    yield from _taken_for_none(looks, lenient)


def _reserving(
    row: Mapping[str, Any], looks: Iterable[Mapping[str, Any]], lenient: _Leniency
) -> Iterator[str]:
    """The signals left out that the response, or a redirect before it, carried all the same."""
    headers = [pair for pair in _listed(row.get(c.RESPONSE_HEADERS.name)) if len(pair) == 2]
    fields = [(str(name).lower(), str(value)) for name, value in headers]
    tags = [value for name, value in fields if name == "x-robots-tag"]
    # answers of a file have its sha256 beside them; those of fields repeat the fields
    tags += [str(look.get("answer")) for look in looks if look.get("sha256") is None]
    at = datetime.fromisoformat(row[c.OBSERVED_AT.name]) if row.get(c.OBSERVED_AT.name) else None
    held = {name for tag in tags for name in _held(tag, lenient.agents, at)}
    yield from held & lenient.signals
    declared = [value.strip() for name, value in fields if name == "tdm-reservation"]
    if TDM_RESERVATION in lenient.signals and any(value != "0" for value in declared):
        yield TDM_RESERVATION


def _held(tag: str, agents: Sequence[str], at: datetime | None) -> list[str]:
    """Directives of a field; an answer in our own words, or one that nobody can read, has none."""
    try:
        return x_robots_tag([tag], user_agents=agents, at=at)
    except Unreadable:
        return []


def _taken_for_none(looks: Iterable[Mapping[str, Any]], lenient: _Leniency) -> Iterator[Accepted]:
    answers = (look.get("status") for look in looks if look.get("answer") == "no file")
    found = sorted(status for status in set(answers) if status in lenient.statuses)
    if found:
        named = ", ".join(map(str, found))
        yield Accepted(
            f"no_file_statuses: also {named}",
            f"An answer {named} to a question about reservations was taken for none by this "
            f"dataset's recipe",
        )


def _listed(text: str | None) -> list[Any]:
    """A JSON list as an observation holds it; what is none tells nothing."""
    try:
        found = json.loads(text or "[]")
    except ValueError:
        return []
    return found if isinstance(found, list) else []
