"""Data that another program made, held against the same seven promises.

What its files show is counted, what contradicts a promise breaks it, and what nobody wrote down
cannot be known: that is said plainly, and such data does not pass.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from curate.errors import CurateError, MissingInput
from curate.provenance.findings import AuditResult, Few
from curate.provenance.foreign_license import LicenseColumns, Licenses, judged
from curate.provenance.foreign_read import Found, Rows, find, read, repeated, unclaimed
from curate.provenance.promises import Findings, Kept

KEYS: Final = ("key", "id", "image_id", "photo_id", "photoid", "__key__", "curate_key")
URLS: Final = ("url", "image_url", "URL", "original_url")
MAKERS: Final = ("creator", "author", "artist", "photographer", "owner_name", "username", "by")
PLACES: Final = ("landing_url", "foreign_landing_url", "page_url", "webpage_url", "source_url",
                 "descriptionurl", "pageurl", "source")  # fmt: skip
TIMES: Final = ("retrieved_at", "fetched_at", "observed_at", "crawled_at", "downloaded_at")
STORED: Final = ("stored_sha256",)
HASHES: Final = ("sha256", "sha512", "md5")
SUCCESS: Final = "success"


@dataclass
class Count:
    """What the rows add up to."""

    rows: int = 0
    broken: int = 0
    pictures: int = 0
    pictured_unlicensed: int = 0
    without_picture: int = 0
    unexplained: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    hashes: Counter[str] = field(default_factory=Counter)
    licenses: Licenses = field(default_factory=Licenses)
    named: set[str] = field(default_factory=set)
    ids: dict[str, list[Any]] = field(default_factory=dict)
    mismatched: Few = field(default_factory=Few)


def audit_foreign(path: Path, *, hashes: bool) -> AuditResult:
    """Hold a table, tars, a folder of pictures or img2dataset's output against the promises.

    With `hashes` pictures are read and compared with the hashes that rows give. `ok` is true for
    none of it that lacks a manifest: what cannot be known counts as not held. Rows are streamed;
    16 bytes a row stay in memory to find repeats. Raises MissingInput if nothing is there, and if
    an output of this program is unfinished.
    """
    if not path.exists():
        raise MissingInput(f"{path} does not exist")
    if (path / "plan").is_dir():
        raise MissingInput(
            f"{path / 'MANIFEST.json'} does not exist: not a finished dataset "
            f"(an unfinished run goes on with the same `curate run`)"
        )
    found, findings = find(path), Findings()
    count = Count()
    columns: dict[str, LicenseColumns] = {}
    for rows in _guarded(found, findings):
        own = columns.setdefault(rows.origin, LicenseColumns.of(rows.columns))
        _add(count, rows, own, hashes=hashes)
    _conservation(found, count, findings)
    _license_first(columns, count, findings)
    _evidence(count, findings, hashes=hashes)
    _once(found, count, findings)
    _unknowable(findings)
    return _result(found, count, findings)


def _guarded(found: Found, findings: Findings) -> Any:
    """All rows; a file that does not read ends the reading and is a problem of its own."""
    try:
        yield from read(found)
    except (CurateError, OSError, ValueError, pa.ArrowException) as error:
        first = (str(error).splitlines() or [""])[0].replace(f"{found.root}/", "")
        findings.add(Kept.CONSERVATION, [f"not all rows can be read: {first}"])


def _add(count: Count, rows: Rows, columns: LicenseColumns, *, hashes: bool) -> None:
    """Count some rows."""
    held = np.array([picture is not None for picture in rows.pictures], bool)
    count.rows += len(rows)
    count.broken += rows.broken
    count.pictures += int(held.sum())
    status = _column(rows, ("status",))
    succeeded = held
    if status is not None:
        values = status.to_pylist()
        count.statuses.update(value or "none" for value in values)
        succeeded = np.array([value == SUCCESS for value in values], bool)
        errors = _column(rows, ("error_message",))
        said = [None] * len(rows) if errors is None else errors.to_pylist()
        count.unexplained += sum(
            not ok and not why for ok, why in zip(succeeded, said, strict=True)
        )
    if rows.known:
        expected = succeeded if status is not None else np.ones(len(rows), bool)
        count.without_picture += int((expected & ~held).sum())
    accepted = judged(rows.columns, len(rows), columns, count.licenses)
    taken = held | (succeeded if status is not None else held)
    count.pictured_unlicensed += int((taken & ~accepted).sum())
    for name, names in (("maker", MAKERS), ("place", PLACES), ("time", TIMES),
                        ("hash", (*STORED, *HASHES))):  # fmt: skip
        column = _column(rows, names)
        if column is not None:
            count.said[name] += len(column) - column.null_count
    for name, names in (("key", KEYS), ("url", URLS)):
        column = _column(rows, names)
        if column is not None:
            count.ids.setdefault(name, []).append(_short(column))
    naming = _column(rows, ("file_name", "key", "path", "filename"))
    if naming is not None and rows.known:
        count.named |= {value for value in naming.to_pylist() if value}
    if hashes:
        _compare(count, rows)


def _compare(count: Count, rows: Rows) -> None:
    """The pictures' bytes against the hashes that their rows give; repeats of the same bytes."""
    name = next((n for n in (*STORED, *HASHES) if n in rows.columns), None)
    told = rows.columns[name].to_pylist() if name else [None] * len(rows)
    method = "sha256" if name in (None, *STORED) else str(name)
    keys = _column(rows, KEYS)
    labels = keys.to_pylist() if keys is not None else [None] * len(rows)
    own = []
    for row, (picture, wanted) in enumerate(zip(rows.pictures, told, strict=True)):
        if picture is None:
            continue
        try:
            data = picture()
        except OSError as error:
            count.hashes["unreadable"] += 1
            count.mismatched.take([f"{rows.origin}: a picture cannot be read: {error.strerror}"])
            continue
        own.append(np.frombuffer(hashlib.sha256(data).digest()[:8], np.uint64))
        if wanted is None:
            count.hashes["none"] += 1
        elif hashlib.new(method, data).hexdigest() == wanted.strip().lower():
            count.hashes["fits"] += 1
        else:
            count.hashes["differs"] += 1
            label = labels[row] or row
            count.mismatched.take(
                [f"{rows.origin}: row {label}: the picture does not have its {name}"]
            )
    count.ids.setdefault("picture", []).extend(own)


def _conservation(found: Found, count: Count, findings: Findings) -> None:
    add, looked = findings.add, findings.looked
    looked(Kept.CONSERVATION, f"{found.form()}: {count.rows:,} rows, {count.pictures:,} pictures")
    if count.statuses:
        told = ", ".join(f"{name} {n:,}" for name, n in sorted(count.statuses.items()))
        looked(Kept.CONSERVATION, f"rows by status: {told}")
    asked = _asked(found, findings)
    if asked is not None and asked != count.rows:
        add(Kept.CONSERVATION, [
            f"{asked:,} addresses were asked for, {count.rows:,} rows are there: "
            f"{abs(asked - count.rows):,} {'were lost without a trace' if asked > count.rows else 'too many'}"
        ])  # fmt: skip
    lost = {
        "rows cannot be read": count.broken,
        "rows say that they have a picture, and it is not there": count.without_picture,
        "rows failed without saying why": count.unexplained,
        "pictures belong to no row": len(
            unclaimed(found, count.named | _stems(found, count.named))
        ),
    }
    add(Kept.CONSERVATION, [f"{n:,} {what}" for what, n in lost.items() if n])
    if asked is None:
        findings.cannot(
            Kept.CONSERVATION,
            "nothing lists what was asked for: rows that were dropped left no trace and no reason",
        )
    elif not count.statuses:
        findings.cannot(Kept.CONSERVATION, "rows have no status: what became of them is not said")


def _stems(found: Found, named: set[str]) -> set[str]:
    """Names of pictures that rows name by their stem."""
    return {found.name(file) for file in found.pictures if file.stem in named}


def _asked(found: Found, findings: Findings) -> int | None:
    """The addresses that img2dataset was given, by its own account of each shard."""
    if not found.stats:
        return None
    asked = 0
    for file in found.stats:
        try:
            told = json.loads(file.read_text(encoding="utf-8"))
            asked += int(told["count"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            findings.add(Kept.CONSERVATION, [f"{found.name(file)} does not read: {error}"])
    return asked


def _license_first(columns: Mapping[str, LicenseColumns], count: Count, findings: Findings) -> None:
    names = sorted({name for own in columns.values() for name in own.kinds})
    told = count.licenses
    if names:
        findings.looked(Kept.LICENSE_FIRST, f"licence claims in {', '.join(map(repr, names))}")
    else:
        findings.looked(Kept.LICENSE_FIRST, "no column holds licence claims")
    findings.looked(Kept.LICENSE_FIRST, told.sentence(count.rows))
    for line in told.details():
        findings.looked(Kept.LICENSE_FIRST, line)
    if count.pictured_unlicensed:
        findings.add(Kept.LICENSE_FIRST, [
            f"{count.pictured_unlicensed:,} pictures were fetched without a licence that any policy "
            f"here accepts"
        ])  # fmt: skip
    if count.pictures:
        findings.cannot(
            Kept.LICENSE_FIRST, "whether a licence was judged before its picture was fetched"
        )
    else:
        findings.cannot(Kept.LICENSE_FIRST, "nothing was fetched yet: these are rows, not pictures")


def _evidence(count: Count, findings: Findings, *, hashes: bool) -> None:
    looked, add, rows = findings.looked, findings.add, count.rows
    words = {"maker": "a creator", "place": "a page or source", "time": "a time of retrieval",
             "hash": "a hash of the picture"}  # fmt: skip
    told = "; ".join(f"{count.said[name]:,} {what}" for name, what in words.items())
    looked(Kept.EVIDENCE, f"of {rows:,} rows have: {told}")
    for name in ("maker", "place"):
        if count.pictures and count.said[name] < rows:
            missing = rows - count.said[name]
            add(Kept.EVIDENCE, [f"{missing:,} rows name no {words[name].partition(' ')[2]}"])
    if count.pictures and count.said["hash"] < count.pictures:
        missing = count.pictures - count.said["hash"]
        add(Kept.EVIDENCE, [f"{missing:,} pictures have no hash: what was fetched cannot be shown"])
    if not count.said["time"]:
        findings.unknown(Kept.EVIDENCE, "when claims were made: no column says it")
    if hashes:
        looked(Kept.EVIDENCE, f"hashes against bytes: {_words(count.hashes) or 'none to compare'}")
        add(Kept.EVIDENCE, count.mismatched.told())
        if count.statuses and count.hashes["differs"]:
            findings.unknown(
                Kept.EVIDENCE,
                "the fetched bytes: img2dataset hashes what it fetched, and wrote these pictures anew",
            )
    elif count.pictures:
        findings.cannot(Kept.EVIDENCE, "the pictures against their hashes: ask with --hashes")
    if not count.pictures:
        findings.cannot(Kept.EVIDENCE, "there are no pictures to compare with anything")


def _once(found: Found, count: Count, findings: Findings) -> None:
    what = {"key": "keys", "url": "addresses", "picture": "pictures"}
    for name, parts in sorted(count.ids.items()):
        repeats = repeated(parts)
        findings.looked(Kept.EXACTLY_ONCE, f"{what[name]} that repeat an earlier one: {repeats:,}")
        if repeats:
            findings.add(Kept.EXACTLY_ONCE, [f"{repeats:,} {what[name]} are there more than once"])
    findings.add(Kept.EXACTLY_ONCE, _unfinished(found))
    findings.cannot(
        Kept.EXACTLY_ONCE, "no manifest names the files: readers take whatever lies there"
    )


def _unfinished(found: Found) -> list[str]:
    """Shards of img2dataset that it never gave an account of, and what a writer left behind."""
    problems = [f"{found.name(file)} was left unfinished" for file in found.left]
    if not found.stats:
        return problems
    done = {file.name.removesuffix("_stats.json") for file in found.stats}
    files = [*(path for path, _ in found.tables), *found.tars]
    started = {file.stem for file in files if file.stem.isdigit()}
    problems += [
        f"shard {stem} has no account: it was not finished" for stem in sorted(started - done)
    ]
    problems += [f"shard {stem} has an account and no rows" for stem in sorted(done - started)]
    return problems


def _unknowable(findings: Findings) -> None:
    findings.cannot(
        Kept.SAME_DATA,
        "no digest says what this is, and no recipe how it was made: nobody can make it again",
    )
    findings.cannot(
        Kept.LINEAGE, "nothing leads from a picture back to its evidence, or on to what it trained"
    )
    findings.cannot(Kept.NEAR_HARDWARE, "not applicable: no run recorded anything")


def _result(found: Found, count: Count, findings: Findings) -> AuditResult:
    failed = {name: n for name, n in sorted(count.statuses.items()) if name != SUCCESS}
    promises = findings.promises()
    unheld = sum(promise.state != "held" for promise in promises)
    notes = [
        f"{found.form()}, not a dataset of curate: {unheld} of {len(promises)} promises are broken or "
        f"cannot be known",
        "licences are counted as a copy of a source's record; their column names were guessed",
        "evidence shows that a claim was made, not that it was true",
    ]
    return AuditResult(
        ok=not unheld, dataset_digest="", bytes_digest="", kept=count.pictures, rejected={},
        failed=failed, problems=findings.problems, notes=notes,
        verified=[line for promise in promises for line in promise.looked_at], promises=promises,
    )  # fmt: skip


def _column(rows: Rows, names: tuple[str, ...]) -> pa.Array | None:
    """The first of some columns that the rows have."""
    return next((rows.columns[name] for name in names if name in rows.columns), None)


def _short(column: pa.Array) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """64 bits of a hash of each value that is there."""
    values = (value.encode("utf-8", "surrogateescape") for value in column.drop_null().to_pylist())
    heads = b"".join(hashlib.blake2b(value, digest_size=8).digest() for value in values)
    return np.frombuffer(heads, np.uint64)


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in sorted(counts.items()))
