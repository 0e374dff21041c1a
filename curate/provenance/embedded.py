"""What pictures say of themselves, read again from the blocks that are kept of them.

Claims and unsigned reservations are read anew and weighed anew. A signed manifest cannot be: it
hangs on the whole file, which is not kept; what was noted of it counts as committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from curate import columns as c
from curate.license.plus import SIGNED
from curate.provenance.findings import compare_rows, flat
from curate.stages.embedded import Embedded, claims_column, read_blocks, reservations_column

BLOCKS: Final = [f.name for f in (c.ORIGINAL_SHA256, c.EMBEDDED_EXIF, c.EMBEDDED_XMP, c.EMBEDDED_IPTC)]  # fmt: skip
NOTED: Final = [f.name for f in (c.EMBEDDED_CLAIMS, c.EMBEDDED_RESERVATIONS)]
WRITTEN: Final = [f.name for f in Embedded.produces]


def check_embedded(where: str, data: pa.Table, judged: pa.Table) -> Iterator[str]:
    """The kept notes of a picture against its kept blocks, and their weight against `judged`."""
    if not {*BLOCKS, *WRITTEN} <= set(data.column_names):
        yield f"{where}: the columns that the stage embedded writes are not all there"
        return
    keys = flat(data[c.KEY.name])
    found = read_blocks(data)
    unsigned = _unsigned(data[c.EMBEDDED_RESERVATIONS.name])
    again = pa.table(
        [claims_column(found), reservations_column([one.reservations for one in found])],
        names=NOTED,
    )
    stored = pa.table([data[c.EMBEDDED_CLAIMS.name], unsigned], names=NOTED)
    yield from compare_rows(where, keys, stored, again, NOTED)
    weighed = judged.take(pc.index_in(keys, value_set=flat(judged[c.KEY.name])))
    yield from compare_rows(where, keys, data, weighed, [c.EMBEDDED_AGREES.name])


def _unsigned(column: pa.ChunkedArray) -> pa.Array:
    """Reservations without those that only the whole file shows."""
    rows: list[Any] = column.to_pylist()
    kept = [row and [item for item in row if item["signal"] not in SIGNED] for row in rows]
    return pa.array(kept, c.EMBEDDED_RESERVATIONS.type)
