"""Score how well each caption fits its picture, and keep both embeddings."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate import columns as c
from curate.models import Part, resolve
from curate.models.clip import dim_of
from curate.stage import Transform, mark
from curate.stages.encoders import Encoder, one_thread
from curate.stages.pixels import COLUMNS, batches

if TYPE_CHECKING:
    from curate.models.clip import Clip

Vectors = NDArray[np.float32]


class ClipScore(Encoder):
    """Cosine similarity of the bucket's pixels and each caption; a row's score is its best.

    Nothing is judged here: a threshold is a barrier. A picture that cannot be read is rejected
    `corrupt`, a row without a caption text `caption`, a score that is not finite `numeric`.
    A caption without text among others has neither score nor embedding.
    """

    kind: Literal["clip_score"] = "clip_score"

    part: ClassVar[Part] = "clip"
    codecs: ClassVar = ("pillow", "torch", "torchvision", "open_clip_torch")
    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.CAPTIONS, *COLUMNS])
    produces: ClassVar[pa.Schema] = pa.schema(
        [c.CLIP_SCORE, c.CLIP_SCORES, c.CLIP_IMAGE, c.CLIP_TEXT]
    )

    def open(self) -> Transform:
        from curate.models.clip import Clip

        one_thread()
        clip = Clip.load(self.model, device=self.device)
        return partial(_score, clip=clip, batch_size=self.batch_size, stage=self.kind)

    def field_metadata(self) -> dict[str, dict[str, str]]:
        model = {"model": self.model_digest}
        stored = model | {"dtype": "float16", "dim": str(dim_of(resolve(self.model, "clip")))}
        return {
            c.CLIP_SCORE.name: model, c.CLIP_SCORES.name: model,
            c.CLIP_IMAGE.name: stored, c.CLIP_TEXT.name: stored,
        }  # fmt: skip


def _score(table: pa.Table, *, clip: Clip, batch_size: int, stage: str) -> pa.Table:
    images, reasons = _images(table, clip, batch_size)
    captions = [_texts(row) for row in table[c.CAPTIONS.name].to_pylist()]
    distinct = sorted({text for row in captions for text in row if text is not None})
    known = dict(zip(distinct, clip.encode_texts(distinct), strict=True))
    best: list[float | None] = []
    scores: list[list[float | None]] = []
    texts: list[list[bytes | None]] = []
    for row, (image, words) in enumerate(zip(images, captions, strict=True)):
        vectors = [None if text is None else known[text] for text in words]
        told = [_cosine(image, vector) for vector in vectors]
        finite = [score for score in told if score is not None and np.isfinite(score)]
        scores.append(told)
        texts.append([None if vector is None else _float16(vector) for vector in vectors])
        best.append(max(finite, default=None))
        if reasons[row] is None and not any(vector is not None for vector in vectors):
            reasons[row] = "caption"
        elif reasons[row] is None and len(finite) < sum(score is not None for score in told):
            reasons[row] = "numeric:clip"
    pictures = [None if image is None else _float16(image) for image in images]
    values = (best, scores, pictures, texts)
    for field, column in zip(ClipScore.produces, values, strict=True):
        table = table.append_column(field, pa.array(column, field.type))
    return mark(table, reasons, stage=stage)


def _images(
    table: pa.Table, clip: Clip, batch_size: int
) -> tuple[list[Vectors | None], list[str | None]]:
    """Each row's unit vector, and `corrupt` where there is none."""
    import torch

    vectors: list[Vectors | None] = [None] * len(table)
    reasons: list[str | None] = ["corrupt"] * len(table)
    for batch in batches(table, lambda _width, _height: batch_size, torch.device("cpu")):
        encoded = clip.encode_images(list(batch.pixels.numpy()), batch_size=batch_size)
        for row, vector in zip(batch.rows, encoded, strict=True):
            vectors[row], reasons[row] = vector, None
    return vectors, reasons


def _texts(captions: list[dict[str, str | None]] | None) -> list[str | None]:
    """The text of each caption, None where there is none or only white space."""
    texts = [caption.get("text") if caption else None for caption in captions or ()]
    return [text if text and text.strip() else None for text in texts]


def _cosine(image: Vectors | None, text: Vectors | None) -> float | None:
    return None if image is None or text is None else float(image @ text)


def _float16(vector: Vectors) -> bytes:
    return vector.astype("<f2").tobytes()
