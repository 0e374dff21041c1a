"""Encode captions with a T5 encoder, each at its true length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field

from curate import columns as c
from curate.errors import EngineError
from curate.models import Part, resolve
from curate.models.blocks8 import quantise
from curate.models.caption_packs import MAX_TOKENS, PACK_TOKENS, Indices, Packs
from curate.models.caption_shelf import Shelf
from curate.models.launch import lane
from curate.models.t5 import dim_of
from curate.stage import mark
from curate.stages.encoders import Encoder
from curate.store.numbers import BLOCK, INT8, vector_bytes

if TYPE_CHECKING:
    import torch

    from curate.models.t5 import T5

MOST_BYTES: Final = 2**31 - 1
"""What the offsets of an Arrow binary column can reach."""


class T5Stage(Encoder):
    """A vector a token and the token count of each caption, the closing </s> included.

    `store` is their form: bfloat16, or int8 with a scale for each 64 values, which is half as large
    and 0.6 to 1.8 % off. Captions go together up to `pack_tokens` tokens; where they are not packed
    (on a CPU), `batch_size` of equal length.
    Captions that repeat within a table are encoded once. A caption without text becomes the empty
    caption; a row none of whose captions has text is rejected `caption`, one whose vectors are not
    finite `numeric`; one with a caption that does not fit in memory alone failed.
    """

    kind: Literal["t5"] = "t5"
    store: Literal["bfloat16", "int8"] = "bfloat16"
    pack_tokens: Annotated[int, Field(ge=MAX_TOKENS)] = PACK_TOKENS

    part: ClassVar[Part] = "t5"
    codecs: ClassVar = ("torch", "transformers", "tokenizers")
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.CAPTIONS])
    produces: ClassVar[pa.Schema] = pa.schema([c.T5_EMBEDDINGS, c.T5_TOKENS, c.T5_BATCH])

    def field_metadata(self) -> dict[str, dict[str, str]]:
        told = {"model": self.model_digest, "dtype": self.dtype,
                "dim": str(dim_of(resolve(self.model, "t5")))}  # fmt: skip
        if self.store == "int8":
            told["block"] = str(BLOCK)
        return {c.T5_EMBEDDINGS.name: told}

    @property
    def dtype(self) -> str:
        """What readers are told that a vector's bytes are."""
        return INT8 if self.store == "int8" else "bfloat16"

    def load(self, sample: pa.Table) -> T5:
        from curate.models.t5 import T5

        captions = _Captions.of(sample)
        return T5.load(
            self.model, device=self.device, sample=captions.first_of_each_row(),
            tolerance=self.tolerance, store=self.store,
        )  # fmt: skip

    def encode(self, table: pa.Table, model: T5) -> pa.Table:
        captions = _Captions.of(table)
        ids = model.tokens(captions.distinct)
        lengths = np.array([len(caption) for caption in ids], np.int64)
        tokens = lengths[captions.which]
        offsets = _offsets(tokens * vector_bytes(self.dtype, model.dim), rows=len(table))
        values, broken, packs = self._computed(model, ids, lengths, captions.which)
        lost = captions.rows_with(np.array(packs.lost, np.int64))
        columns = (
            captions.lists(_binary(offsets, values), c.T5_EMBEDDINGS.type, lost),
            captions.lists(pa.array(tokens, pa.int32()), c.T5_TOKENS.type, lost),
            pa.repeat(pa.scalar(packs.halved, pa.int32()), len(table)),
        )
        for field, column in zip(self.produces, columns, strict=True):
            table = table.append_column(field, column)
        memory = ["out_of_memory" if gone else None for gone in lost.tolist()]
        table = mark(table, memory, verdict="failed", stage=self.kind, retryable=True)
        return mark(table, captions.rejections(np.flatnonzero(broken)), stage=self.kind)

    def _computed(
        self, model: T5, ids: list[list[int]], lengths: Indices, places: Indices
    ) -> tuple[NDArray[np.uint8], NDArray[np.int32], Packs]:
        """Bytes of all vectors in row order, not finite tokens by caption, and how packs went."""
        here, packs = lane(model.device), Packs(self.pack_tokens)

        def work(rows: list[int]) -> None:
            some = [ids[row] for row in rows]
            whole = sum(len(caption) for caption in some)
            shelf.put(rows, model.states(some, pack_tokens=whole, batch_size=self.batch_size))

        with here.turn():
            shelf = Shelf(here, lengths, places, self._stored)
            packs.run(lengths.tolist(), work, shelf.spill)
            values, broken = shelf.fetch()
        return _bytes(values.wait()), broken.wait().numpy(), packs

    def _stored(self, states: torch.Tensor) -> torch.Tensor:
        import torch

        return quantise(states) if self.store == "int8" else states.to(torch.bfloat16)


@dataclass(frozen=True)
class _Captions:
    """The captions of a table: `which` of `distinct` stands at each place of the `usable` rows."""

    distinct: list[str]
    which: Indices
    counts: Indices
    usable: NDArray[np.bool_]

    @classmethod
    def of(cls, table: pa.Table) -> _Captions:
        """Texts as the encoder cleans them, empty where there is none."""
        column = pa.concat_arrays([pa.array([], c.CAPTIONS.type), *table[c.CAPTIONS.name].chunks])
        counts = np.asarray(pc.fill_null(pc.list_value_length(column), 0), np.int64)
        told = pc.struct_field(pc.list_flatten(column), "text").to_pylist()
        texts = [(text or "").lower().strip() for text in told]
        rows = np.repeat(np.arange(len(table)), counts)
        usable = np.bincount(rows, [bool(text) for text in texts], len(table)) > 0
        kept = [text for text, use in zip(texts, usable[rows].tolist(), strict=True) if use]
        number = {text: place for place, text in enumerate(sorted(set(kept)))}
        which = np.array([number[text] for text in kept], np.int64)
        return cls(list(number), which, np.where(usable, counts, 0), usable)

    def first_of_each_row(self) -> list[str]:
        """The first caption with text of each row that has one."""
        ends = np.cumsum(self.counts)
        pairs = zip((ends - self.counts).tolist(), ends.tolist(), strict=True)
        rows = ([self.distinct[place] for place in self.which[a:b]] for a, b in pairs)
        return [text for row in rows for text in [next(filter(None, row), None)] if text]

    def rows_with(self, captions: Indices) -> NDArray[np.bool_]:
        """Which rows hold one of some captions."""
        rows = np.repeat(np.arange(len(self.usable)), self.counts)
        return np.bincount(rows[np.isin(self.which, captions)], minlength=len(self.usable)) > 0

    def lists(self, values: pa.Array, kind: pa.DataType, lost: NDArray[np.bool_]) -> pa.Array:
        """One value a caption as one list a row; null for rows without text, and the lost ones."""
        offsets = pa.array(np.concatenate([[0], np.cumsum(self.counts)]), pa.int32())
        lists = pa.ListArray.from_arrays(offsets, values, kind, mask=pa.array(~self.usable))
        if not lost.any():
            return lists
        return lists.take(pa.array(np.arange(len(lists)), mask=lost))

    def rejections(self, broken: Indices) -> list[str | None]:
        """The reason of each row that has no text, or whose vectors are not finite."""
        bad = self.rows_with(broken).tolist()
        return [
            "caption" if not use else "numeric:t5" if numeric else None
            for use, numeric in zip(self.usable.tolist(), bad, strict=True)
        ]


def _offsets(sizes: Indices, *, rows: int) -> Indices:
    """Where each value begins and the last ends; raises EngineError beyond what Arrow can hold."""
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    if offsets[-1] > MOST_BYTES:
        raise EngineError(
            f"the T5 vectors of a shard of {rows:,} rows take {offsets[-1] / 2**30:.2f} GiB, and a "
            f"column holds 2: lower shard_rows in the recipe, or say store: int8 in its t5 stage"
        )
    return offsets


def _bytes(values: torch.Tensor) -> NDArray[np.uint8]:
    """The memory of a tensor as it is."""
    import torch

    return values.view(torch.uint8).numpy().reshape(-1)


def _binary(offsets: Indices, values: NDArray[np.uint8]) -> pa.Array:
    """A binary array whose values are this very memory; without any, of empty values."""
    told = pa.py_buffer(np.minimum(offsets, len(values)).astype(np.int32))
    return pa.Array.from_buffers(
        pa.binary(), len(offsets) - 1, [None, told, pa.py_buffer(values)], null_count=0
    )
