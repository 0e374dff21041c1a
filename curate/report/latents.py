"""Latents decoded beside the pictures they were made of.

The one place of the report that runs a model: the VAE that the manifest names, and only if its
digest is the one in the manifest. Where it cannot be loaded the page says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from curate import columns as c
from curate.errors import CurateError, ModelError
from curate.report.reading import layer_holding, lookup
from curate.report.sheets import Card, first_keys, jpeg, make_cards
from curate.stages.pixels import crop_to_bucket
from curate.store.dataset import Dataset
from curate.store.manifest import ModelInfo

SAMPLES = 8
SHOWN_PIXELS = 256
_COLUMNS = [c.LATENT.name, c.LATENT_HEIGHT.name, c.LATENT_WIDTH.name]

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """A picture as the encoder saw it and its latent decoded; PSNR in decibels over all pixels."""

    card: Card
    original: bytes
    decoded: bytes
    psnr_db: float
    latent_shape: tuple[int, int, int]


@dataclass(frozen=True)
class Latents:
    """Sample pairs, or `why_not`: the reason that nothing was decoded."""

    layer: str
    model: ModelInfo | None
    pairs: tuple[Pair, ...]
    why_not: str | None = None


def decoded_latents(dataset: Dataset) -> Latents | None:
    """Decode the latents of the first kept rows; None if no layer holds latents."""
    layer = layer_holding(dataset, c.LATENT.name)
    if layer is None:
        return None
    model = dataset.layer(layer).models.get("vae")
    if model is None:
        return Latents(layer, None, (), "the manifest names no VAE for this layer")
    try:
        vae = _load(model)
    except ImportError as error:
        return Latents(layer, model, (), f"decoding needs {error.name}, which is not installed")
    except CurateError as error:
        return Latents(layer, model, (), str(error))
    return Latents(layer, model, _pairs(dataset, layer, vae))


def _load(model: ModelInfo) -> Any:
    """The VAE of the manifest; raises ModelError if the one found has another digest."""
    from curate.models.vae import Vae

    vae = Vae.load(model.ref)
    if vae.digest != model.digest:
        raise ModelError(
            f"{model.ref} is now {vae.digest[:16]}…, the latents were made by {model.digest[:16]}…"
        )
    return vae


def _pairs(dataset: Dataset, layer: str, vae: Any) -> tuple[Pair, ...]:
    places = dict(first_keys(dataset, {("kept", None): SAMPLES})["kept", None])
    cards = make_cards(dataset, places)
    latents = lookup(dataset, layer, places, _COLUMNS)
    fields = [c.IMAGE.name, c.CROP_BOX.name]
    images = lookup(dataset, "images", places, fields)
    ready = [key for key in places if key in latents and key in images]
    return tuple(_pair(cards[key], latents[key], images[key], vae) for key in ready)


def _pair(card: Card, row: dict[str, Any], image: dict[str, Any], vae: Any) -> Pair:
    height, width = row[c.LATENT_HEIGHT.name], row[c.LATENT_WIDTH.name]
    moments = np.frombuffer(row[c.LATENT.name], "<f2").reshape(-1, height, width)
    mean = moments[: len(moments) // 2].astype(np.float32)
    decoded: Pixels = vae.decode(mean[None])[0]
    body, box = image[c.IMAGE.name]["bytes"], image[c.CROP_BOX.name]
    original = crop_to_bucket(body, box, decoded.shape[1], decoded.shape[0])
    return Pair(
        card,
        _small(original),
        _small(decoded),
        _psnr(original, decoded),
        (len(mean), height, width),
    )


def _psnr(left: Pixels, right: Pixels) -> float:
    error = float(np.mean((left.astype(np.float64) - right.astype(np.float64)) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def _small(pixels: Pixels) -> bytes:
    from PIL import Image

    picture = Image.fromarray(pixels)
    picture.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS))
    return jpeg(picture, quality=92)
