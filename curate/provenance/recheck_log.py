"""What rechecks found, kept beside the shards: `rechecks/<time>.json`, each naming the one before.

A dataset's own evidence is never changed by what is seen later. A file carries its own digest, and
the digest of the file before it, so that one taken away or changed shows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from curate.errors import StoreError
from curate.store.digest import json_digest
from curate.store.files import LocalFiles

FOLDER: Final = "rechecks"
FORMAT: Final = "curate-recheck/1"

Kind = Literal[
    "same", "not_compared", "unreachable", "gone", "changed_bytes", "changed_evidence",
    "relicensed", "newly_reserved",
]  # fmt: skip
KINDS: Final[Mapping[Kind, str]] = {
    "gone": "it is not there any more (404, 410, or no longer named)",
    "changed_bytes": "the address now gives other bytes",
    "changed_evidence": "the response that held the claim is another one, and names no licence",
    "relicensed": "another licence or other terms are named now; the row keeps its earlier evidence",
    "newly_reserved": "a reservation now holds that did not",
    "unreachable": "no answer, or one that says nothing; ask again later",
    "not_compared": "there is an answer and nothing to compare it with",
    "same": "as it was",
}
DRIFT: Final[frozenset[Kind]] = frozenset(
    {"gone", "changed_bytes", "changed_evidence", "relicensed", "newly_reserved"}
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What came of asking again for one thing of one row: its picture, a claim, its landing page."""

    key: str
    what: Literal["picture", "claim", "landing page"]
    kind: Kind
    url: str
    old: str | None = None
    new: str | None = None
    note: str | None = None
    status: int | None = None
    sha256: str | None = None
    at: str | None = None
    """Time of asking, ISO 8601, UTC."""

    @property
    def drifted(self) -> bool:
        """Whether what was found is not what the dataset holds."""
        return self.kind in DRIFT

    def __str__(self) -> str:
        change = f" {self.old} → {self.new}" if self.old or self.new else ""
        note = f" ({self.note})" if self.note else ""
        return f"{self.what} {self.kind}:{change}{note} at {self.url}"


def write(files: LocalFiles, told: Mapping[str, Any], findings: Collection[Finding]) -> str:
    """Add a recheck to the log; returns the name of its file. `told["time"]` names it."""
    stem = str(told["time"]).replace(":", "").replace("-", "").partition(".")[0]
    entries = _names(files)
    previous = _load(files, entries[-1])["digest"] if entries else None
    body = {"format": FORMAT, **told, "previous": previous, "findings": list(map(asdict, findings))}
    for number in range(1000):
        name = f"{FOLDER}/{stem}Z{f'-{number}' if number else ''}.json"
        if files.put_if_absent(name, _encoded(body)):
            return name
    raise StoreError(f"{files.path(FOLDER)} has a thousand rechecks of one second")


def read(files: LocalFiles, key: str) -> list[Finding]:
    """What every recheck found of one row, the oldest first."""
    found = []
    for name in _names(files):
        found += [Finding(**one) for one in _load(files, name)["findings"] if one["key"] == key]
    return found


def problems(files: LocalFiles) -> Iterator[str]:
    """Files of the log that were changed, and places where one is missing."""
    before: str | None = None
    for name in _names(files):
        try:
            body = _load(files, name)
        except StoreError as error:
            yield str(error)
            before = None
            continue
        if body["previous"] != before:
            yield f"{name} does not follow the recheck before it: one is missing or was changed"
        before = body["digest"]


def forget(files: LocalFiles, keys: Collection[str]) -> int:
    """Erase some rows from the log, as a removal must; returns how many findings went.

    The files keep their names and are chained anew; each says how many findings it lost. A file
    that cannot be read goes whole: nobody could say that it holds none of the rows.
    """
    gone, before, sought = 0, None, set(keys)
    for name in _names(files):
        try:
            body = _load(files, name)
        except StoreError:
            files.remove(name)
            continue
        kept = [one for one in body["findings"] if one["key"] not in sought]
        lost = len(body["findings"]) - len(kept)
        if lost or body["previous"] != before:
            body |= {"findings": kept, "previous": before}
            body["forgotten"] = body.get("forgotten", 0) + lost
            files.publish(name, _encoded(body))
            gone += lost
        before = _load(files, name)["digest"]
    return gone


def _names(files: LocalFiles) -> list[str]:
    """Files of the log, the oldest first."""
    return sorted(files.list(FOLDER, ".json"), key=_order)


def _order(name: str) -> tuple[str, int]:
    time, _, number = name.rpartition("/")[2].removesuffix(".json").partition("-")
    return time, int(number or 0)


def _encoded(body: Mapping[str, Any]) -> bytes:
    plain = {name: value for name, value in body.items() if name != "digest"}
    text = json.dumps(plain | {"digest": json_digest(plain)}, indent=1, ensure_ascii=False)
    return text.encode() + b"\n"


def _load(files: LocalFiles, name: str) -> dict[str, Any]:
    try:
        body = json.loads(files.read(name))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{name} is not a recheck: {error}") from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise StoreError(f"{name} is not a recheck in the format {FORMAT}")
    plain = {key: value for key, value in body.items() if key != "digest"}
    if body.get("digest") != json_digest(plain):
        raise StoreError(f"{name} was changed: its digest does not fit its contents")
    return body
