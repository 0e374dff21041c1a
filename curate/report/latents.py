"""Latents decoded beside the pictures they were made of.

The one place of the report that runs a model: the VAE that the manifest names, and only if its
digest is the one in the manifest. Where it cannot be loaded the page says why.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate import columns as c
from curate.errors import CurateError, MissingInput
from curate.images.crops import crop_to_bucket
from curate.provenance.places import model_name
from curate.report.reading import layer_holding, lookup
from curate.report.sheets import Card, first_keys, jpeg, make_cards
from curate.store.dataset import Dataset
from curate.store.manifest import ModelInfo

if TYPE_CHECKING:
    from curate.models.vae import Vae

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
    vae, why_not = _load(model)
    pairs = () if vae is None else _pairs(dataset, layer, vae)
    return Latents(layer, model, pairs, why_not)


def _load(model: ModelInfo) -> tuple[Vae | None, str | None]:
    """The VAE of the manifest, or why there is none, in words that name no local place."""
    name = model_name(model.ref)
    try:
        from curate.models.vae import Vae

        vae = Vae.load(model.ref)
    except ImportError as error:
        return None, f"decoding needs {error.name}, which is not installed"
    except MissingInput:
        return None, f"the model {name} is not on this machine"
    except CurateError:
        return None, f"what lies at the place of the model {name} does not load as a VAE"
    if vae.digest != model.digest:
        now, then = vae.digest[:16], model.digest[:16]
        return None, f"{name} is now {now}…, the latents were made by {then}…"
    return vae, None


def _pairs(dataset: Dataset, layer: str, vae: Vae) -> tuple[Pair, ...]:
    places = dict(first_keys(dataset, {("kept", None): SAMPLES})["kept", None])
    cards = make_cards(dataset, places)
    latents = lookup(dataset, layer, places, _COLUMNS)
    fields = [c.IMAGE.name, c.CROP_BOX.name]
    images = lookup(dataset, "images", places, fields)
    ready = [key for key in places if key in latents and key in images]
    return tuple(_pair(cards[key], latents[key], images[key], vae) for key in ready)


def _pair(card: Card, row: dict[str, Any], image: dict[str, Any], vae: Vae) -> Pair:
    height, width = row[c.LATENT_HEIGHT.name], row[c.LATENT_WIDTH.name]
    moments = np.frombuffer(row[c.LATENT.name], "<f2").reshape(-1, height, width)
    mean = moments[: vae.channels].astype(np.float32)  # of moments the first half, of a mode all
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
