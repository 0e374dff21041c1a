"""What a fetched picture says of itself: it may contradict its licence or reserve its use.

Embedded metadata grant nothing: the licence columns stay as the sources' claims made them. All
reservations are honoured unless the recipe leaves a signal out by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import field_validator

from curate import columns as c
from curate.license import c2pa
from curate.license.embedded import EmbeddedRights, read_embedded
from curate.license.evidence import Claim, compare
from curate.license.parse import RULES_VERSION
from curate.license.plus import SIGNALS, Reservation
from curate.stage import Stage, Transform, mark

CONFLICT: Final = "license:embedded_conflict"
_RAW_LIMIT: Final = 1000
_CLAIM: Final = tuple(field.name for field in c.CLAIM)
_RESERVATION: Final = tuple(field.name for field in c.RESERVATION)
_BLOCKS: Final = (c.EMBEDDED_EXIF, c.EMBEDDED_XMP, c.EMBEDDED_IPTC)

Verdict = tuple[str, str]


class Embedded(Stage):
    """Rejects `license:embedded_conflict` and, by `honour`, `reservation:` with the signal's name.

    A conflict: the picture names a licence of other elements, or reserves all rights on the rung of
    the claim it was accepted by or a higher one. Corroboration, another version and a reservation
    on a lower rung are noted in `embedded_agrees`. The measured text holds the raw words.
    """

    kind: Literal["embedded"] = "embedded"
    honour: tuple[str, ...] = tuple(SIGNALS)
    """Signals that keep a picture out. An empty list ignores all, and the outputs say so."""
    trust_anchors: str = ""
    """Certificates, as PEM text, whose signers count as trusted; none by default."""

    consumes: ClassVar[pa.Schema] = pa.schema(
        [c.KEY, c.BODY, c.ORIGINAL_SHA256, c.CLAIMS, *_BLOCKS]
    )
    produces: ClassVar[pa.Schema] = pa.schema(
        [c.EMBEDDED_CLAIMS, c.EMBEDDED_RESERVATIONS, c.EMBEDDED_AGREES]
    )

    @field_validator("honour")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        """A misspelt signal would be one that is not honoured."""
        if unknown := sorted(set(names) - set(SIGNALS)):
            raise ValueError(f"{unknown} unknown: choose from {', '.join(SIGNALS)}")
        return tuple(sorted(set(names)))

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"rules": RULES_VERSION, "c2pa": c2pa.installed()}

    def open(self) -> Transform:
        return self._transform

    def _transform(self, table: pa.Table) -> pa.Table:
        blocks = read_blocks(table)
        signed = [self._signed(*each) for each in zip(table[c.BODY.name], blocks, strict=True)]
        reserved = [[*one.reservations, *more] for one, more in zip(blocks, signed, strict=True)]
        return self.weigh(
            table.append_column(c.EMBEDDED_CLAIMS, claims_column(blocks)).append_column(
                c.EMBEDDED_RESERVATIONS, reservations_column(reserved)
            )
        )

    def _signed(self, body: pa.Scalar, said: EmbeddedRights) -> list[Reservation]:
        if not body.is_valid:
            return []
        view = memoryview(body.as_buffer()).cast("B")  # Arrow's own view has signed bytes
        return c2pa.training_mining(view, said.manifest_elsewhere, trust_anchors=self.trust_anchors)

    def weigh(self, table: pa.Table) -> pa.Table:
        """`embedded_agrees` and the marks, from the claims and reservations that a table holds."""
        names = (c.CLAIMS.name, c.EMBEDDED_CLAIMS.name, c.EMBEDDED_RESERVATIONS.name)
        agrees: list[str] = ["silent"] * len(table)
        verdicts: list[Verdict | None] = [None] * len(table)
        for row in _speaking(table):
            said, own, reserved = (table[name][row].as_py() or [] for name in names)
            agrees[row], conflict = _contradiction(said, own)
            verdicts[row] = conflict or self._honoured(reserved)
        table = table.append_column(c.EMBEDDED_AGREES, pa.array(agrees, pa.string()))
        return mark(
            table, [v and v[0] for v in verdicts], stage=self.kind,
            text=[v and v[1][:_RAW_LIMIT] for v in verdicts],
        )  # fmt: skip

    def _honoured(self, reserved: Sequence[dict[str, Any]]) -> Verdict | None:
        """The first reservation that the recipe honours, and all of them in words."""
        taken = [item for item in reserved if item["signal"] in self.honour]
        if not taken:
            return None
        told = "; ".join(f"{item['value']} ({item['locator']})" for item in taken)
        return f"reservation:{taken[0]['signal']}", told


def _speaking(table: pa.Table) -> list[int]:
    """The rows whose pictures say anything."""
    counts = [
        pc.fill_null(pc.list_value_length(table[f.name]), 0)
        for f in (c.EMBEDDED_CLAIMS, c.EMBEDDED_RESERVATIONS)
    ]
    return pc.indices_nonzero(pc.add(*counts)).to_pylist()


def _contradiction(
    said: Sequence[dict[str, Any]], own: Sequence[dict[str, Any]]
) -> tuple[str, Verdict | None]:
    """How a picture's own claims stand to the others, and the verdict if they contradict."""
    found = compare((_claim(row) for row in said), (_claim(row) for row in own))
    if found.granted is None or found.against is None:
        return found.agreement, None
    granted, against = found.granted, found.against
    half = _RAW_LIMIT // 2 - 100
    told = (
        f"{granted.kind} says {(granted.value or '')[:half]!r}; "
        f"the picture ({against.locator}) says {(against.value or '')[:half]!r}"
    )
    return found.agreement, (CONFLICT, told)


def _row(value: Claim | Reservation, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in names}


def _claim(row: dict[str, Any]) -> Claim:
    return Claim(**{**row, "kind": row["kind"] or "", "level": row["level"] or 0})


# --- columns -------------------------------------------------------------------------------------
def read_blocks(table: pa.Table) -> list[EmbeddedRights]:
    """What the raw blocks of each row say; nothing of the whole file is read."""
    rights = [EmbeddedRights()] * len(table)
    valid = [pc.is_valid(table[field.name]) for field in _BLOCKS]
    for row in pc.indices_nonzero(pc.or_(pc.or_(valid[0], valid[1]), valid[2])).to_pylist():
        exif, xmp, iptc = (table[field.name][row].as_py() for field in _BLOCKS)
        found = read_embedded(exif=exif, xmp=xmp, iptc=iptc)
        digest = table[c.ORIGINAL_SHA256.name][row].as_py()
        claims = tuple(replace(claim, response_sha256=digest) for claim in found.claims)
        rights[row] = replace(found, claims=claims)
    return rights


def claims_column(rights: Sequence[EmbeddedRights]) -> pa.Array:
    """EMBEDDED_CLAIMS of what was read; their response is the fetched file."""
    values = [[_row(claim, _CLAIM) for claim in one.claims] for one in rights]
    return pa.array(values, c.EMBEDDED_CLAIMS.type)


def reservations_column(reserved: Sequence[Sequence[Reservation]]) -> pa.Array:
    """EMBEDDED_RESERVATIONS of what was read."""
    values = [[_row(item, _RESERVATION) for item in row] for row in reserved]
    return pa.array(values, c.EMBEDDED_RESERVATIONS.type)
