"""Small finished datasets with latents and text embeddings, written with the real store.

The encoders are random at tiny size but lie on disk in the real formats, so that checkpoints made
from them open in PixArtAlphaPipeline. Each row carries its number in its latent's first cell.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from curate import columns as c
from curate.models import digest
from curate.models.blocks8 import INT8, quantise, vector_bytes
from curate.store.commit import Commit, commit_shard
from curate.store.files import LocalFiles
from curate.store.manifest import (
    MANIFEST,
    Counts,
    Manifest,
    ModelInfo,
    bytes_digest,
    dataset_digest,
    layer_of,
)

CHANNELS, TEXT_DIM = 4, 32
WORDS = [
    "a",
    "red",
    "green",
    "blue",
    "circle",
    "square",
    "on",
    "navy",
    "gray",
    "background",
    "small",
    "large",
    "above",
    "below",
]


@dataclass(frozen=True)
class Models:
    """Directories of a T5 and a VAE with random weights, and what a manifest says of them."""

    root: Path

    @property
    def t5(self) -> ModelInfo:
        return self._info("t5")

    @property
    def vae(self) -> ModelInfo:
        return self._info("vae")

    def _info(self, name: str) -> ModelInfo:
        return ModelInfo(ref=str(self.root / name), digest=digest(self.root / name))


@dataclass(frozen=True)
class Form:
    """How features are stored: the text's dtype, and what of the posterior."""

    text: str = "bfloat16"
    posterior: str = "moments"


def write_models(root: Path) -> Models:
    """A T5 encoder of 32 dimensions with a word tokenizer, and a VAE of factor 2, 4 channels."""
    import torch
    from diffusers import AutoencoderKL
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

    torch.manual_seed(0)
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(root / "t5")
    T5EncoderModel(
        T5Config(
            vocab_size=len(vocabulary), d_model=TEXT_DIM, d_kv=8, d_ff=64, num_layers=1, num_heads=4
        )
    ).half().save_pretrained(root / "t5")  # a config of float16 is a trap for the pipeline
    AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8), latent_channels=CHANNELS, norm_num_groups=4, sample_size=16,
        layers_per_block=1, scaling_factor=0.5,
    ).save_pretrained(root / "vae")  # fmt: skip
    return Models(root)


def write_dataset(
    root: Path, models: Models, *, rows: Sequence[int] = (40, 30, 23), one_layer: bool = True,
    shapes: Sequence[tuple[int, int]] = ((8, 8),), rejected_later: int = 3, form: Form = Form(),
) -> Path:  # fmt: skip
    """A dataset with one part for each entry of `rows`: that many kept rows a part.

    In every part `rejected_later` more rows have features but not the ledger's consent. With
    `one_layer` false, text and latents lie in two layers, the text layer with one row more.
    """
    files = LocalFiles(root)
    commits: dict[str, list[Commit]] = {}
    number = 0
    for index, count in enumerate(rows):
        part = f"{index:x}0-open"
        table, ledger = _part(number, count, rejected_later, shapes, models, form)
        number += count
        tables = {"images": _images(table), "ledger": ledger}
        text = [c.KEY.name, c.T5_EMBEDDINGS.name, c.T5_TOKENS.name]
        latents = [c.KEY.name, c.LATENT.name, c.LATENT_HEIGHT.name, c.LATENT_WIDTH.name]
        if one_layer:
            tables["features/latents"] = table
        else:
            tables["features/text"] = table.select(text)
            tables["features/latents"] = table.select(latents).slice(1 if rejected_later else 0)
        for layer, data in tables.items():
            commits.setdefault(layer, []).append(
                commit_shard(
                    files, layer=layer, part=part, fingerprint="f" * 64, input_digest=layer,
                    rows_in=len(data), tables={"data": data}, marked={},
                )
            )  # fmt: skip
    _publish(files, commits, models, kept=number, rejected=rejected_later * len(rows))
    return root


def _publish(
    files: LocalFiles, commits: dict[str, list[Commit]], models: Models, *, kept: int, rejected: int
) -> None:
    both = {"t5": models.t5, "vae": models.vae}
    layers = [
        layer_of(name, own, both if name.startswith("features") else {})
        for name, own in commits.items()
    ]
    manifest = Manifest(
        recipe_name="test", recipe_fingerprint="0" * 64, license_audited=True,
        dataset_digest=dataset_digest(layers, None), bytes_digest=bytes_digest(layers),
        counts=Counts(
            candidates=kept + rejected, kept=kept, rejected={"clip_score": rejected}, failed={}
        ),
        layers=layers,
    )  # fmt: skip
    files.publish(MANIFEST, manifest.to_bytes())


def _part(
    first: int, kept: int, rejected: int, shapes: Sequence[tuple[int, int]], models: Models,
    form: Form,
) -> tuple[pa.Table, pa.Table]:  # fmt: skip
    """Feature rows in key order, the rejected ones among them, and their ledger."""
    rng = np.random.default_rng(first)
    total = kept + rejected
    keys = sorted(hashlib.sha256(f"{first} {i}".encode()).hexdigest() for i in range(total))
    dead = {0, *rng.choice(np.arange(1, total), max(rejected - 1, 0), False)} if rejected else set()
    numbers, living = [], iter(range(first, first + kept))
    for row in range(total):
        numbers.append(-1 if row in dead else next(living))
    latents, sizes, texts = [], [], []
    for row, number in enumerate(numbers):
        height, width = shapes[row % len(shapes)]
        moments = rng.standard_normal((2 * CHANNELS, height, width)).astype(np.float16)
        moments[0, 0, 0] = number
        moments[CHANNELS:] = -8
        latents.append(moments[: CHANNELS if form.posterior == "mode" else None].tobytes())
        sizes.append((height, width))
        texts.append([_text(rng, number, form) for _ in range(1 + row % 3)])
    a_token = vector_bytes(form.text, TEXT_DIM)
    table = pa.table(
        [pa.array(keys), pa.array(texts, c.T5_EMBEDDINGS.type),
         pa.array([[len(t) // a_token for t in row] for row in texts], c.T5_TOKENS.type),
         pa.array(latents), pa.array([h for h, _ in sizes], pa.int32()),
         pa.array([w for _, w in sizes], pa.int32())],
        schema=_schema(models, form),
    )  # fmt: skip
    verdicts = ["rejected" if row in dead else "kept" for row in range(total)]
    ledger = pa.table({
        c.KEY.name: keys, c.VERDICT.name: verdicts,
        c.REASON.name: ["clip_score" if v == "rejected" else None for v in verdicts],
        c.LICENSE.name: ["CC-BY-4.0" if row % 2 else "CC0-1.0" for row in range(total)],
    })  # fmt: skip
    schema = pa.schema([c.KEY, c.VERDICT, c.REASON, c.LICENSE])
    return table, ledger.cast(schema)


def _text(rng: np.random.Generator, number: int, form: Form) -> bytes:
    """A caption's embedding, 3 to 9 tokens, as it is stored; row number in the first value."""
    values = rng.standard_normal((int(rng.integers(3, 10)), TEXT_DIM)).astype(np.float32)
    values[0, 0] = number
    if form.text == INT8:
        import torch

        return bytes(quantise(torch.from_numpy(values)).numpy().tobytes())
    return (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def _schema(models: Models, form: Form) -> pa.Schema:
    text = {
        "curate.dtype": form.text,
        "curate.dim": str(TEXT_DIM),
        "curate.model": models.t5.digest,
    }
    latent = {
        "curate.dtype": "float16", "curate.channels": str(CHANNELS), "curate.model": models.vae.digest,
    }  # fmt: skip
    if form.posterior != "moments":  # a column of moments need not say so: older ones do not
        latent |= {"curate.posterior": form.posterior, "curate.scaling_factor": "0.5"}
    return pa.schema([
        c.KEY, _noted(c.T5_EMBEDDINGS, text), c.T5_TOKENS, _noted(c.LATENT, latent),
        c.LATENT_HEIGHT, c.LATENT_WIDTH,
    ])  # fmt: skip


def _noted(field: pa.Field, notes: dict[str, str]) -> pa.Field:
    return field.with_metadata({**(field.metadata or {}), **notes})


def _images(features: pa.Table) -> pa.Table:
    """The images layer of the same rows: a plain picture, a caption, a licence."""
    rows: list[dict[str, Any]] = []
    for index, key in enumerate(features[c.KEY.name].to_pylist()):
        body = io.BytesIO()
        Image.new("RGB", (16, 16), (index % 256, 40, 90)).save(body, "PNG")
        rows.append({
            c.KEY.name: key, c.SOURCE.name: "test", c.URL.name: f"http://example.org/{key[:8]}.png",
            c.TITLE.name: f"Picture {index}", c.CREATOR.name: "A. Painter", c.LICENSE.name: "CC-BY-4.0",
            c.CAPTIONS.name: [{"text": f"a red circle {index}", "origin": "source", "model": None,
                               "model_digest": None, "language": "en"}],
            c.IMAGE.name: {"bytes": body.getvalue(), "path": f"{key}.png"},
            c.WIDTH.name: 16, c.HEIGHT.name: 16,
        })  # fmt: skip
    schema = pa.schema([c.KEY, c.SOURCE, c.URL, c.TITLE, c.CREATOR, c.LICENSE, c.CAPTIONS, c.IMAGE,
                        c.WIDTH, c.HEIGHT])  # fmt: skip
    return pa.Table.from_pylist(rows, schema)
