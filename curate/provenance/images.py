"""The pictures of one file of an images layer, a row group at a time, unmoved where that can be."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curate import columns as c
from curate.provenance.findings import flat
from curate.provenance.inplace import spans
from curate.provenance.pictures import Views, views_of

BYTES, PATH = f"{c.IMAGE.name}.bytes", f"{c.IMAGE.name}.path"
THERE = 2  # the definition level of bytes that are there: the picture is, and its bytes are


@dataclass(frozen=True)
class Images:
    """An open Parquet file, and its bytes if it is mapped."""

    file: pq.ParquetFile
    mapped: pa.MemoryMappedFile | None

    def known(self) -> bool:
        """Whether pictures and what is told of them are there, in the types that they have."""
        schema = self.file.schema_arrow
        fields = (c.IMAGE, c.STORED_SHA256, c.WIDTH, c.HEIGHT)
        return all(f.name in schema.names and schema.field(f.name).type == f.type for f in fields)

    def column(self, group: int) -> pa.Array:
        """The pictures of a row group as Arrow reads them."""
        rows = self.file.read_row_group(group, columns=[c.IMAGE.name], use_threads=False)
        return flat(rows[c.IMAGE.name])

    def read(self, group: int) -> tuple[pa.Array, Views]:
        """The pictures of a row group, and the bytes of each.

        Where the bytes lie plain in the mapped file the array has empty ones in their place: it
        serves for a digest that is given their hashes.
        """
        places = self._places(group)
        if places is None:
            column = self.column(group)
            return column, views_of(pc.struct_field(column, "bytes"))
        rows = self.file.read_row_group(group, columns=[PATH], use_threads=False)
        paths = pc.struct_field(flat(rows[c.IMAGE.name]), "path")
        empty = pa.array([b""] * len(paths), pa.binary())
        column = pa.StructArray.from_arrays([empty, paths], fields=list(c.IMAGE_TYPE))
        return column, [self._bytes[start:end] for start, end in places]

    def _places(self, group: int) -> list[tuple[int, int]] | None:
        if self.mapped is None or self._leaf is None:
            return None
        return spans(self._bytes, self.file.metadata.row_group(group).column(self._leaf), THERE)

    @cached_property
    def _bytes(self) -> memoryview:
        if self.mapped is None:
            raise ValueError("the file is not mapped")
        self.mapped.seek(0)
        return memoryview(self.mapped.read_buffer())

    @cached_property
    def _leaf(self) -> int | None:
        """The place of the pictures' bytes among the leaves of the file."""
        schema = self.file.schema
        places = (i for i in range(len(schema)) if schema.column(i).path == BYTES)
        return next(places, None)
