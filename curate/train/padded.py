"""The features for trainers that know no mask: Parquet with every caption padded to one length.

Latents are as they are stored, a caption's embedding is bfloat16 with zeros behind its tokens. Each
row carries its licence and credit, as in every export; the same dataset gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from curate import columns as c
from curate.errors import RecipeError, StoreError
from curate.models.caption_packs import MAX_TOKENS
from curate.provenance.places import model_name
from curate.provenance.release import view
from curate.store.dataset import Dataset
from curate.store.numbers import decoded, narrowed
from curate.train.export import (
    CREDITED,
    SOURCES,
    Described,
    Told,
    described,
    empty_folder,
    finish,
    opened,
)
from curate.train.shards import Features, Part, Row, Shards

CAPTION, T5, MASK, TOKENS = "caption", "t5", "t5_mask", "t5_tokens"
LATENTS: Final = (c.LATENT, c.LATENT_HEIGHT, c.LATENT_WIDTH)
ROWS: Final = 64
"""Rows of a row group: a megabyte each where embeddings are 4096 wide."""
_README: Final = Path(__file__).parent / "padded.md"


def export_padded(
    dataset: Dataset | str | Path, to: str | Path, *, groups: Sequence[str] | None = None,
    policy: str | Sequence[str] | None = None, tokens: int = MAX_TOKENS,
) -> int:  # fmt: skip
    """Write `<part>.parquet` with latent, padded embedding, mask, licence and credit of each row.

    Of several captions a row has the first with text; what is longer than `tokens` is cut. Other
    arguments, result and errors as of `export_webdataset`; MissingInput without features.
    """
    if tokens < 1:
        raise RecipeError(f"--tokens {tokens}: a caption needs one token at least")
    held, chosen = opened(dataset, groups, policy)
    shards = Shards(view(held, chosen.groups))
    form = _Form(shards.features, tokens, shards.notes(c.LATENT.name))
    parts = {part.name: part for part in shards.parts()}
    folder, told = empty_folder(to), Told()
    for name, rows in described(held, chosen):
        if not rows:
            continue
        with form.writer(folder / f"{name}.parquet") as writer:
            for batch in form.batches(parts[name], rows):
                writer.write_batch(batch, row_group_size=ROWS)
        for _, metadata in rows:
            told.add(metadata)
    (folder / "README.md").write_text(form.readme(), encoding="utf-8")
    return finish(held, folder, chosen, told, form="padded")


@dataclass(frozen=True)
class _Form:
    """How rows are laid out; `latent` is what the latents' column says of itself."""

    features: Features
    tokens: int
    latent: dict[str, str]

    @property
    def schema(self) -> pa.Schema:
        text = {"dtype": "bfloat16", "shape": f"{self.tokens},{self.features.text_dim}",
                "model": self.features.text_model.digest}  # fmt: skip
        wide = 2 * self.tokens * self.features.text_dim
        features = [
            pa.field(CAPTION, pa.string()), _noted(pa.field(T5, pa.binary(wide)), text),
            pa.field(MASK, pa.binary(self.tokens)), pa.field(TOKENS, pa.int32()),
            _noted(c.LATENT, self.latent), *LATENTS[1:],
        ]  # fmt: skip
        facts = [field for field in SOURCES if field.name != c.KEY.name]
        return pa.schema([c.KEY, *features, *facts, *((n, pa.string()) for n in CREDITED)])

    def writer(self, path: Path) -> pq.ParquetWriter:
        """Padding and texts compress to nothing, latents do not."""
        names = self.schema.names
        return pq.ParquetWriter(
            path, self.schema, use_dictionary=False, write_statistics=[c.KEY.name],
            compression={n: "none" for n in names if n == c.LATENT.name}
            | {n: "zstd" for n in names if n != c.LATENT.name},
        )  # fmt: skip

    def batches(self, part: Part, rows: Sequence[Described]) -> Iterator[pa.RecordBatch]:
        """The rows of a part with their features, some at a time."""
        wanted = {row[c.KEY.name]: (row, metadata) for row, metadata in rows}
        keys = part.keys()
        for start in range(0, len(keys), ROWS):
            loaded = zip(keys[start : start + ROWS], part.load(start, start + ROWS), strict=True)
            some = [(*wanted.pop(key), row) for key, row in loaded if key in wanted]
            if some:
                yield self._batch(some)
        if wanted:
            raise StoreError(f"part {part.name}: the ledger keeps no row {min(wanted)}")

    def _batch(self, rows: Sequence[tuple[dict[str, Any], dict[str, Any], Row]]) -> pa.RecordBatch:
        states = np.zeros((len(rows), self.tokens, self.features.text_dim), np.uint16)
        mask = np.zeros((len(rows), self.tokens), np.uint8)
        columns: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        for place, (row, metadata, features) in enumerate(rows):
            number, text = _first(row)
            vectors = self._vectors(row, features, number)
            states[place, : len(vectors)], mask[place, : len(vectors)] = vectors, 1
            told = {**metadata, CAPTION: text, TOKENS: len(vectors),
                    c.LATENT.name: features.latent.tobytes(), c.LATENT_HEIGHT.name: features.shape[0],
                    c.LATENT_WIDTH.name: features.shape[1]}  # fmt: skip
            for name, values in columns.items():
                values.append(told.get(name))
        whole: dict[str, NDArray[Any]] = {T5: states, MASK: mask}
        arrays = [
            _fixed(whole[f.name], f.type) if f.name in whole else pa.array(columns[f.name], f.type)
            for f in self.schema
        ]
        return pa.record_batch(arrays, schema=self.schema)

    def _vectors(self, row: dict[str, Any], features: Row, number: int) -> NDArray[np.uint16]:
        """A caption's embedding as bits of bfloat16 [at most `tokens`, dim]."""
        if number >= len(features.captions):
            raise StoreError(
                f"row {row[c.KEY.name]} has {len(features.captions)} embeddings, and its caption "
                f"number {number + 1} is the first with text"
            )
        told, stored = self.features, features.captions[number]
        if told.text_dtype == "bfloat16":
            return stored.view("<u2").reshape(-1, told.text_dim)[: self.tokens]
        return narrowed(decoded(stored, told.text_dtype, told.text_dim)[: self.tokens])

    def readme(self) -> str:
        """What a reader must know of the layout."""
        told, planes = self.features, self.features.latent_planes
        mode = told.latent_posterior == "mode"
        return _README.read_text(encoding="utf-8").format(
            tokens=self.tokens, dim=told.text_dim, planes=planes, channels=told.latent_channels,
            dtype=told.latent_dtype, text_model=model_name(told.text_model.ref),
            text_digest=told.text_model.digest, latent_model=model_name(told.latent_model.ref),
            latent_digest=told.latent_model.digest, stored=told.text_dtype,
            latent="the mode of the posterior" if mode else "the posterior's mean, then its log variance",
            scaling=self.latent.get("scaling_factor", "see the VAE's config"),
            shift=self.latent.get("shift_factor", "see the VAE's config"),
        )  # fmt: skip


def _first(row: dict[str, Any]) -> tuple[int, str]:
    """The first caption with text, by its place; the first of all if there is none."""
    texts = [(caption or {}).get("text") or "" for caption in row.get(c.CAPTIONS.name) or ()]
    return next(((place, text) for place, text in enumerate(texts) if text.strip()), (0, ""))


def _fixed(values: NDArray[Any], kind: pa.DataType) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])


def _noted(field: pa.Field, notes: dict[str, str]) -> pa.Field:
    return field.with_metadata({f"curate.{name}": value for name, value in notes.items()})
