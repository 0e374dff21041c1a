"""The values of model columns, which no digest covers: lengths, finite numbers, scores that follow.

The models need not be here. A latent must have the length of its shape, every number must be
finite, an embedding of CLIP must have unit length and a score must be that of its embeddings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from curate import columns as c
from curate.store.numbers import INT8, WIDTHS, scale_bits, vector_bytes

UNIT_TOLERANCE: Final = 0.01
SCORE_TOLERANCE: Final = 0.01
"""Both are rounded to float16 when they are stored; that moves a cosine by less than 0.002."""
EXPONENT: Final[Mapping[str, int]] = {"float16": 0x7C00, "bfloat16": 0x7F80}
"""A number whose exponent is all ones is infinite or none."""

Problem = tuple[int, str]
"""A row and what is wrong with it."""


def check_values(where: str, table: pa.Table) -> Iterator[str]:
    """Problems in the model columns of some rows of a feature layer."""
    for name, check in CHECKS.items():
        if name in table.column_names:
            for row, what in check(table):
                yield f"{where}: row {table[c.KEY.name][row]}: {what}"


def _latents(table: pa.Table) -> Iterator[Problem]:
    notes = _notes(table, c.LATENT)
    planes = 1 if notes.get("posterior") == "mode" else 2
    channels, height, width = (
        int(notes.get("channels", 0)),
        table[c.LATENT_HEIGHT.name].to_pylist(),
        table[c.LATENT_WIDTH.name].to_pylist(),
    )
    wide = WIDTHS.get(notes.get("dtype", ""))
    if wide is None:
        return  # stored in a way that this version does not know
    for row, data in enumerate(_buffers(_flat(table[c.LATENT.name]))):
        if data is None:
            yield row, "it has no latent"
            continue
        expected = planes * channels * (height[row] or 0) * (width[row] or 0) * wide
        if len(data) != expected:
            yield row, f"latent has {len(data)} bytes, its shape asks for {expected}"
        elif not _finite(data, notes["dtype"]):
            yield row, "latent holds numbers that are not finite"


def _tokens(table: pa.Table) -> Iterator[Problem]:
    """One vector a token of each caption."""
    notes = _notes(table, c.T5_EMBEDDINGS)
    if notes.get("dtype") not in (*WIDTHS, INT8):
        return
    dim = int(notes.get("dim", 0))
    a_token = vector_bytes(notes["dtype"], dim)
    embeddings, tokens = (_flat(table[f.name]) for f in (c.T5_EMBEDDINGS, c.T5_TOKENS))
    counts = [np.asarray(pc.fill_null(pc.list_value_length(a), -1)) for a in (embeddings, tokens)]
    for row in np.flatnonzero(counts[0] != counts[1]).tolist():
        yield row, f"{counts[0][row]} caption embeddings, {counts[1][row]} token counts"
    if (counts[0] != counts[1]).any():
        return
    rows = _parents(embeddings)
    lengths = pc.list_flatten(tokens).to_pylist()
    for row, length, data in zip(rows, lengths, _buffers(pc.list_flatten(embeddings)), strict=True):
        if data is None or length is None or len(data) != length * a_token:
            found = None if data is None else len(data)
            yield row, f"a caption of {length} tokens has {found} bytes of embedding"
        elif not _finite_vectors(data, notes["dtype"], dim):
            yield row, "t5_embeddings holds numbers that are not finite"


def _scores(table: pa.Table) -> Iterator[Problem]:
    """Embeddings of unit length, and the scores that they give."""
    notes = _notes(table, c.CLIP_IMAGE)
    if notes.get("dtype") != "float16":
        return
    dim = int(notes.get("dim", 0))
    names = (c.CLIP_IMAGE, c.CLIP_TEXT, c.CLIP_SCORES, c.CLIP_SCORE)
    rows = zip(*(table[f.name].to_pylist() for f in names), strict=True)
    for row, (image, texts, scores, best) in enumerate(rows):
        pictured = _unit(image, dim)
        if pictured is None:
            yield row, f"clip_image is no vector of {dim} numbers and unit length"
            continue
        vectors = [None if text is None else _unit(text, dim) for text in texts or []]
        if any(v is None and t is not None for v, t in zip(vectors, texts or [], strict=True)):
            yield row, f"clip_text holds no vectors of {dim} numbers and unit length"
            continue
        derived = [None if vector is None else float(pictured @ vector) for vector in vectors]
        if not _close(scores, derived):
            yield row, f"clip_scores are {_told(scores)}, the embeddings give {_told(derived)}"
        elif best is None or best != max((s for s in scores if s is not None), default=None):
            yield row, f"clip_score is {best}, its captions' scores are {_told(scores)}"


def _close(told: list[float | None] | None, derived: list[float | None]) -> bool:
    if told is None or len(told) != len(derived):
        return False
    pairs = zip(told, derived, strict=True)
    return all(
        (a is None) == (b is None)
        and (a is None or b is None or abs(a - b) <= SCORE_TOLERANCE)
        for a, b in pairs
    )  # fmt: skip


def _told(scores: list[float | None] | None) -> str:
    shown = [None if score is None else round(score, 4) for score in (scores or [])[:4]]
    return str(shown)


def _unit(data: bytes | None, dim: int) -> NDArray[np.float32] | None:
    """A float16 vector if it has that many numbers and unit length."""
    if data is None or not dim or len(data) != 2 * dim:
        return None
    vector = np.frombuffer(data, "<f2").astype(np.float32)
    return vector if abs(float(np.linalg.norm(vector)) - 1) <= UNIT_TOLERANCE else None


def _finite_vectors(data: memoryview, dtype: str, dim: int) -> bool:
    """The same of vectors; in the 8-bit form a number is finite if its scale is."""
    if dtype != INT8:
        return _finite(data, dtype)
    return _finite(memoryview(scale_bits(data, dim).tobytes()), "bfloat16")


def _finite(data: memoryview, dtype: str) -> bool:
    """Whether no number is infinite or NaN, by its exponent: no number is widened."""
    if dtype == "float32":
        return bool(np.isfinite(np.frombuffer(data, "<f4")).all())
    ones = np.uint16(EXPONENT[dtype])
    if not len(data):
        return True
    return bool((np.frombuffer(data, "<u2") & np.uint16(0x7FFF)).max() < ones)


def _notes(table: pa.Table, field: pa.Field) -> dict[str, str]:
    """What a column says of itself: dtype, dim, channels, factor."""
    told = table.schema.field(field.name).metadata or {}
    return {k.decode().removeprefix("curate."): v.decode() for k, v in told.items()}


def _flat(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined


def _parents(lists: pa.Array) -> list[int]:
    """For each item of some lists the row it is in."""
    rows: list[int] = np.asarray(pc.list_parent_indices(lists)).tolist()
    return rows


def _buffers(array: pa.Array) -> Iterator[memoryview | None]:
    """The bytes of each value, not copied; None for null."""
    if not len(array):
        return
    _, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, "<i4")[array.offset : array.offset + len(array) + 1].tolist()
    view = memoryview(data if data is not None else b"")
    for row, valid in enumerate(pc.is_valid(array).to_pylist()):
        yield view[ends[row] : ends[row + 1]] if valid else None


CHECKS: Final[Mapping[str, Callable[[pa.Table], Iterator[Problem]]]] = {
    c.LATENT.name: _latents,
    c.T5_EMBEDDINGS.name: _tokens,
    c.CLIP_IMAGE.name: _scores,
}


def valued(schema: pa.Schema) -> bool:
    """Whether a file has columns that `check_values` looks at."""
    return any(name in schema.names for name in CHECKS)


def unchecked(schema: pa.Schema) -> list[str]:
    """Model columns of a file that nothing here looks into."""
    seen: set[str] = {*CHECKS, c.CLIP_TEXT.name, c.CLIP_SCORE.name, c.CLIP_SCORES.name}
    model: list[Any] = [f.name for f in schema if c.role_of(f) == "model"]
    return [name for name in model if name not in seen]
