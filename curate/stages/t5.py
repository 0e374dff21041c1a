"""Encode captions with a T5 encoder, each at its true length."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate import columns as c
from curate.models import Part, resolve
from curate.models.t5 import dim_of
from curate.stage import Transform, mark
from curate.stages.encoders import Encoder, one_thread

if TYPE_CHECKING:
    from curate.models.t5 import T5


class T5Stage(Encoder):
    """bfloat16 vectors [tokens, dim] and the token count of each caption, the closing </s> included.

    Captions that repeat within a table are encoded once. A caption without text becomes the empty
    caption; a row none of whose captions has text is rejected `caption`, one whose vectors are not
    finite `numeric`.
    """

    kind: Literal["t5"] = "t5"

    part: ClassVar[Part] = "t5"
    codecs: ClassVar = ("torch", "transformers", "tokenizers")
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.CAPTIONS])
    produces: ClassVar[pa.Schema] = pa.schema([c.T5_EMBEDDINGS, c.T5_TOKENS])

    def open(self) -> Transform:
        from curate.models.t5 import T5

        one_thread()
        t5 = T5.load(self.model, device=self.device)
        return partial(_encode, t5=t5, batch_size=self.batch_size, stage=self.kind)

    def field_metadata(self) -> dict[str, dict[str, str]]:
        dim = str(dim_of(resolve(self.model, "t5")))
        return {c.T5_EMBEDDINGS.name: {"model": self.model_digest, "dtype": "bfloat16", "dim": dim}}


def _encode(table: pa.Table, *, t5: T5, batch_size: int, stage: str) -> pa.Table:
    captions = [_texts(row) for row in table[c.CAPTIONS.name].to_pylist()]
    usable = [any(row) for row in captions]
    distinct = sorted(
        {text for row, use in zip(captions, usable, strict=True) if use for text in row}
    )
    states = t5.encode(distinct, batch_size=batch_size)
    counts = {text: len(state) for text, state in zip(distinct, states, strict=True)}
    stored = {text: to_bfloat16(state) for text, state in zip(distinct, states, strict=True)}
    broken = {
        text for text, state in zip(distinct, states, strict=True) if not np.isfinite(state).all()
    }
    embeddings, tokens, reasons = [], [], []
    for row, use in zip(captions, usable, strict=True):
        embeddings.append([stored[text] for text in row] if use else None)
        tokens.append([counts[text] for text in row] if use else None)
        reasons.append("caption" if not use else "numeric:t5" if broken & set(row) else None)
    table = table.append_column(c.T5_EMBEDDINGS, pa.array(embeddings, c.T5_EMBEDDINGS.type))
    table = table.append_column(c.T5_TOKENS, pa.array(tokens, c.T5_TOKENS.type))
    return mark(table, reasons, stage=stage)


def to_bfloat16(values: NDArray[np.float32]) -> bytes:
    """Little-endian bfloat16 bytes of float32 values, rounded to nearest even."""
    import torch

    return (
        torch.from_numpy(np.ascontiguousarray(values))
        .bfloat16()
        .view(torch.int16)
        .numpy()
        .tobytes()
    )


def _texts(captions: list[dict[str, str | None]] | None) -> list[str]:
    """The text of each caption as the encoder cleans it, empty where there is none."""
    texts = [caption.get("text") if caption else None for caption in captions or ()]
    return [(text or "").lower().strip() for text in texts]
