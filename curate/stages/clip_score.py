"""Score how well each caption fits its picture, and keep both embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from curate import columns as c
from curate.models import Part, resolve
from curate.models.clip import dim_of
from curate.models.clip_paths import Sample
from curate.models.device import pick
from curate.models.launch import Batches, lane
from curate.stage import mark
from curate.stages.clip_columns import Captions, Flags, Numbers, best, blobs, floats
from curate.stages.encoders import Encoder
from curate.stages.pixels import COLUMNS, Batch, batches

if TYPE_CHECKING:
    import torch

    from curate.models.clip import Clip

TEXTS: Final = 8192
"""Captions encoded at a time: so many that those of like length fill batches."""


class ClipScore(Encoder):
    """Cosine similarity of the bucket's pixels and each caption; a row's score is its best.

    Nothing is judged here: a threshold is a barrier. A picture that cannot be read is rejected
    `corrupt`, a row without a caption text `caption`, a score that is not finite `numeric`; a row
    that does not fit in memory alone is failed `out_of_memory`. A caption without text among
    others has neither score nor embedding. `batch_size` counts pictures of any size: all reach the
    model at the size that it takes.
    """

    kind: Literal["clip_score"] = "clip_score"
    batch_size: Annotated[int, Field(ge=1)] = 256

    part: ClassVar[Part] = "clip"
    codecs: ClassVar = ("pillow", "torch", "torchvision", "open_clip_torch")
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.CAPTIONS, *COLUMNS])
    produces: ClassVar[pa.Schema] = pa.schema(
        [c.CLIP_SCORE, c.CLIP_SCORES, c.CLIP_IMAGE, c.CLIP_TEXT, c.CLIP_BATCH]
    )

    def load(self, sample: pa.Table) -> Clip:
        from curate.models.clip import Clip

        device = pick(self.device)
        if device.type == "cpu":  # float32 itself: nothing to be held against it
            return Clip.load(self.model, device="cpu", tolerance=self.tolerance)
        pixels = [batch.pixels for batch in batches(sample, self.batch, device)]
        texts = Captions.of(sample[c.CAPTIONS.name]).distinct
        return Clip.load(
            self.model, device=self.device, sample=Sample(pixels, texts), tolerance=self.tolerance
        )

    def encode(self, table: pa.Table, model: Clip) -> pa.Table:
        captions = Captions.of(table[c.CAPTIONS.name])
        tokens = model.tokens(captions.distinct)
        texts = _texts(model, tokens)
        images = _images(model, batches(table, self.batch, model.device), self.batch_size)
        done = _joined(model, captions, texts, images, len(table))
        for field, column in zip(self.produces, _columns(done, captions), strict=True):
            table = table.append_column(field, column)
        failed = ["out_of_memory" if one else None for one in done.lost]
        table = mark(table, failed, verdict="failed", retryable=True, stage=self.kind)
        return mark(table, _reasons(done, captions), stage=self.kind)

    def field_metadata(self) -> dict[str, dict[str, str]]:
        model = {"model": self.model_digest}
        stored = model | {"dtype": "float16", "dim": str(dim_of(resolve(self.model, "clip")))}
        return {
            c.CLIP_SCORE.name: model, c.CLIP_SCORES.name: model,
            c.CLIP_IMAGE.name: stored, c.CLIP_TEXT.name: stored,
        }  # fmt: skip


# --- on the device --------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Vectors:
    """float32 unit vectors on the device, of `places` (rows, or distinct captions), in order.

    `lost` are the places that memory had no room for, `halved` the batch it had room for.
    """

    places: Numbers
    values: torch.Tensor
    lost: list[int]
    halved: int | None


def _texts(model: Clip, tokens: torch.Tensor) -> _Vectors:
    """The distinct captions, thousands at a time."""
    plan = Batches(TEXTS)

    def encode(places: Sequence[int]) -> torch.Tensor:
        with lane(model.device).turn():
            return model.texts(tokens[places[0] : places[-1] + 1])

    return _vectors(model, list(plan.run(range(len(tokens)), encode)), plan)


def _images(model: Clip, found: Iterable[Batch], size: int) -> _Vectors:
    """The pictures of all buckets, `size` at a time once they are of one size."""
    plan, waiting = Batches(size), _Waiting([], [])
    made: list[tuple[Sequence[int], torch.Tensor]] = []
    way = lane(model.device)

    def encode(rows: Sequence[int]) -> torch.Tensor:
        with way.turn():
            return model.vectors(waiting.pictures(rows))

    for batch in found:
        arrived = _Waiting(batch.rows, [batch.pixels])

        def prepare(rows: Sequence[int], arrived: _Waiting = arrived) -> torch.Tensor:
            with way.turn():
                return model.prepare(arrived.pictures(rows))

        for rows, prepared in plan.run(batch.rows, prepare):
            waiting.add(rows, prepared)
        full = len(waiting.rows) // size * size
        made += plan.run(waiting.rows[:full], encode)
        waiting.drop(full)
    made += plan.run(waiting.rows, encode)
    return _vectors(model, made, plan)


@dataclass
class _Waiting:
    """Pictures of some rows, in order, in pieces as they came."""

    rows: list[int]
    pieces: list[torch.Tensor]

    def add(self, rows: Sequence[int], pictures: torch.Tensor) -> None:
        self.rows += rows
        self.pieces.append(pictures)

    def drop(self, count: int) -> None:
        """Forget the first rows."""
        if count:
            self.pieces = list(self._between(count, len(self.rows)))
            self.rows = self.rows[count:]

    def pictures(self, rows: Sequence[int]) -> torch.Tensor:
        """Of rows that follow one another here, in one piece."""
        import torch

        start = self.rows.index(rows[0])
        pieces = list(self._between(start, start + len(rows)))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _between(self, start: int, stop: int) -> Iterator[torch.Tensor]:
        at = 0
        for piece in self.pieces:
            some = piece[max(0, start - at) : max(0, stop - at)]
            at += len(piece)
            if len(some):
                yield some


def _vectors(
    model: Clip, made: Sequence[tuple[Sequence[int], torch.Tensor]], plan: Batches
) -> _Vectors:
    """What batches made, in the order of their places."""
    import torch

    way = lane(model.device)
    places = np.array([place for some, _ in made for place in some], np.int64)
    order = np.argsort(places, kind="stable")
    with way.turn():
        values = torch.cat([values for _, values in made]) if made else model.none()
        if not np.array_equal(order, np.arange(len(order))):
            values = values[way.send(torch.from_numpy(order))]
    return _Vectors(places[order], values, plan.lost, plan.halved)


# --- back on the host -----------------------------------------------------------------------------
@dataclass(frozen=True)
class _Scored:
    """What a table gets: which rows and captions have vectors, and the values of those, in order.

    `paired` are the captions that have a score, `lost` the rows that memory had no room for.
    """

    pictured: Flags
    worded: Flags
    paired: Flags
    lost: Flags
    images: NDArray[np.float16]
    texts: NDArray[np.float16]
    scores: NDArray[np.float32]
    halved: int | None


def _joined(
    model: Clip, captions: Captions, texts: _Vectors, images: _Vectors, count: int
) -> _Scored:
    """Each picture's and caption's vector and the cosine of both, brought to the host."""
    import torch

    image_at, text_at = np.full(count, -1), np.full(len(captions.distinct) + 1, -1)
    image_at[images.places] = np.arange(len(images.places))
    text_at[texts.places] = np.arange(len(texts.places))
    caption_text, caption_image = text_at[captions.number], image_at[captions.rows]
    worded = caption_text >= 0
    paired = worded & (caption_image >= 0)
    way = lane(model.device)
    with way.turn():
        word, left, right = (
            way.send(torch.from_numpy(numbers))
            for numbers in (caption_text[worded], caption_image[paired], caption_text[paired])
        )
        scores = (images.values[left] * texts.values[right]).sum(1)
        pending = [
            way.fetch(tensor)
            for tensor in (images.values.half(), texts.values[word].half(), scores)
        ]
    told = [one.wait().numpy() for one in pending]
    lost = np.zeros(count, bool)
    lost[images.lost] = True
    without = np.isin(captions.number, texts.lost)
    lost[captions.rows[without]] = True
    halved = min((n for n in (texts.halved, images.halved) if n is not None), default=None)
    return _Scored(image_at >= 0, worded, paired, lost, told[0], told[1], told[2], halved)


def _columns(done: _Scored, captions: Captions) -> tuple[pa.Array, ...]:
    """In the order of `ClipScore.produces`."""
    count = len(done.pictured)
    return (
        best(done.scores, captions.rows[done.paired], count),
        captions.lists(floats(done.scores, done.paired)),
        blobs(done.images, done.pictured),
        captions.lists(blobs(done.texts, done.worded)),
        pa.array([done.halved] * count, pa.int32()),
    )


def _reasons(done: _Scored, captions: Captions) -> list[str | None]:
    """Why each row is rejected, None for those that are not."""
    count = len(done.pictured)
    worded, odd = np.zeros(count, bool), np.zeros(count, bool)
    worded[captions.rows[captions.number >= 0]] = True
    odd[captions.rows[done.paired][~np.isfinite(done.scores)]] = True
    told = np.where(
        done.pictured, np.where(worded, np.where(odd, "numeric:clip", ""), "caption"), "corrupt"
    )
    return [str(reason) or None for reason in told.tolist()]
