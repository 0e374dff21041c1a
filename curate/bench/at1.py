"""AT1's way of precomputing (PixArt-α's `extract_features.py`), re-enacted with the same weights.

One caption and one picture at a time, T5 padded to 120 tokens, one file a sample; CLIP as NeMo
Curator's stage runs it. What is left out of the clock is in the peer's favour and told in `notes`.
"""

from __future__ import annotations

import gc
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image
from pydantic import BaseModel

from curate.errors import EngineError
from curate.models import Part, read_config, resolve, tokenizer_dir
from curate.models.device import pick
from curate.models.loading import loading, refuse_random

if TYPE_CHECKING:
    import torch

PARTS: Final[tuple[Part, ...]] = ("t5", "vae", "clip")
T5_TOKENS: Final = 120
T5_THREADS: Final = 20
CLIP_BATCH: Final = 32
CLIP_PICTURES: Final = 64
"""Pictures that are held decoded for CLIP: 200 MB of 1 Mpx."""
WARM_UP: Final = 3
NOTES: Final = (
    f"T5: bfloat16, one caption a forward pass, padded to {T5_TOKENS} tokens; {T5_THREADS} threads "
    "share one lock around the GPU, each writes a compressed npz in float32; captions are tokenised "
    "before the clock starts, in its favour",
    "VAE: float32 with torch's defaults, one picture a forward pass; one thread decodes, resizes and "
    "crops with Pillow, waits for the GPU and writes an npy; files are read from memory, in its favour",
    f"CLIP: float32, {CLIP_BATCH} pictures a forward pass, preprocessed with Pillow in the same "
    "thread; pictures are decoded before the clock starts, in its favour",
    "one stage runs after the other, so their times add up: both is T5 and VAE, all is CLIP too",
)


class At1Rates(BaseModel, frozen=True, extra="forbid"):
    """Samples a second of AT1's way on one device, and the bytes that it stores.

    `both_per_second` is T5 then VAE, one after the other as it runs them; `all_per_second` has CLIP
    before them.
    """

    device: str
    px: int
    t5_per_second: float
    vae_per_second: float
    clip_per_second: float
    both_per_second: float
    all_per_second: float
    bytes_per_caption: float
    bytes_per_picture: float
    notes: tuple[str, ...] = NOTES

    def figures(self) -> dict[str, float]:
        """The numbers alone, by name."""
        return {name: value for name, value in self if isinstance(value, float)}


def measure(
    models: Mapping[str, str | Path], pictures: Sequence[bytes], captions: Sequence[str], px: int,
    seconds: float, device: str,
) -> At1Rates:  # fmt: skip
    """Run each part for about `seconds`, over and over the given samples.

    `models` are references by part (`t5`, `vae`, `clip`; see `curate.models.resolve`), `pictures`
    encoded pictures of any size, `px` the side that the VAE sees. Models are loaded one after the
    other and let go. Raises EngineError if a part, all pictures or all captions are missing.
    """
    missing = [part for part in PARTS if part not in models]
    if missing or not pictures or not captions:
        raise EngineError(
            f"AT1's way wants models t5, vae and clip, pictures and captions; it got models "
            f"{sorted(models)}, {len(pictures)} pictures and {len(captions)} captions"
        )
    target = pick(device)
    places = {part: resolve(str(models[part]), part) for part in PARTS}
    with tempfile.TemporaryDirectory(prefix="curate-at1-") as folder, _torch_defaults():
        t5, caption = _t5_rate(places["t5"], captions, seconds, target, Path(folder))
        _release()
        vae, picture = _vae_rate(places["vae"], pictures, px, seconds, target, Path(folder))
        _release()
        clip = _clip_rate(places["clip"], pictures, seconds, target)
        _release()
    return At1Rates(
        device=str(target), px=px, t5_per_second=t5, vae_per_second=vae, clip_per_second=clip,
        both_per_second=in_turn(t5, vae), all_per_second=in_turn(t5, vae, clip),
        bytes_per_caption=caption, bytes_per_picture=picture,
    )  # fmt: skip


def in_turn(*rates: float) -> float:
    """The rate of stages that run one after the other: their times a sample add up."""
    return 1.0 / sum(1.0 / rate for rate in rates)


# --- T5 -------------------------------------------------------------------------------------------
def _t5_rate(
    path: Path, captions: Sequence[str], seconds: float, device: torch.device, folder: Path
) -> tuple[float, float]:
    """Captions a second, and the mean size of a caption's file."""
    encode = _t5_encoder(path, captions, device)
    for number in range(WARM_UP):
        encode(number)
    lock, numbers = threading.Lock(), itertools.count()
    begun = time.perf_counter()

    def work() -> list[int]:
        sizes: list[int] = []
        while True:
            number = next(numbers)
            with lock:
                states, mask = encode(number)
            file = folder / f"{number}.npz"
            feature = states.float().cpu().numpy()
            np.savez_compressed(file, caption_feature=feature, attention_mask=mask.numpy())
            sizes.append(file.stat().st_size)
            file.unlink()
            if time.perf_counter() - begun >= seconds:
                return sizes

    with ThreadPoolExecutor(T5_THREADS) as threads:
        working = [threads.submit(work) for _ in range(T5_THREADS)]
        sizes = [size for thread in working for size in thread.result()]
    return len(sizes) / (time.perf_counter() - begun), float(np.mean(sizes))


def _t5_encoder(
    path: Path, captions: Sequence[str], device: torch.device
) -> Callable[[int], tuple[torch.Tensor, torch.Tensor]]:
    """A function from a number to the states [1, 120, dim] on the device and the mask [1, 120]."""
    import torch
    import transformers

    classes = {"umt5": "UMT5EncoderModel", "mt5": "MT5EncoderModel"}
    kind = str(read_config(path, "config.json").get("model_type"))
    with loading(path.name, path, "transformers"):
        model, report = getattr(transformers, classes.get(kind, "T5EncoderModel")).from_pretrained(
            path, dtype=torch.bfloat16, local_files_only=True, use_safetensors=True,
            output_loading_info=True,
        )  # fmt: skip
        words = transformers.AutoTokenizer.from_pretrained(
            tokenizer_dir(path), local_files_only=True
        )
    refuse_random(report, path.name, path)
    model = model.to(device).eval()
    told = words(
        [caption.lower().strip() for caption in captions], max_length=T5_TOKENS,
        padding="max_length", truncation=True, return_tensors="pt",
    )  # fmt: skip
    ids, masks = told["input_ids"], told["attention_mask"]

    def encode(number: int) -> tuple[torch.Tensor, torch.Tensor]:
        row = number % len(ids)
        with torch.no_grad():
            states = model(
                input_ids=ids[row : row + 1].to(device),
                attention_mask=masks[row : row + 1].to(device),
            ).last_hidden_state
        return states, masks[row : row + 1]

    return encode


# --- VAE ------------------------------------------------------------------------------------------
def _vae_rate(
    path: Path, pictures: Sequence[bytes], px: int, seconds: float, device: torch.device,
    folder: Path,
) -> tuple[float, float]:  # fmt: skip
    """Pictures a second, and the mean size of a picture's file."""
    from torchvision import transforms

    encode = _vae_encoder(path, device)
    prepare = transforms.Compose(
        [
            transforms.Resize(px),
            transforms.CenterCrop(px),
            transforms.ToTensor(),
            transforms.Normalize([0.5], [0.5]),
        ]
    )

    def one(number: int) -> int:
        pixels = prepare(_decoded(pictures[number % len(pictures)]))
        file = folder / f"{number}.npy"
        np.save(file, encode(pixels))
        size = file.stat().st_size
        file.unlink()
        return size

    for number in range(WARM_UP):
        one(number)
    sizes: list[int] = []
    begun = time.perf_counter()
    while not sizes or time.perf_counter() - begun < seconds:
        sizes.append(one(len(sizes)))
    return len(sizes) / (time.perf_counter() - begun), float(np.mean(sizes))


def _vae_encoder(path: Path, device: torch.device) -> Callable[[torch.Tensor], Any]:
    """A function from one picture [3, h, w] to what is stored of it, as a float32 array."""
    import diffusers
    import torch

    kind = str(read_config(path, "config.json").get("_class_name"))
    with loading(path.name, path, "diffusers"):
        model, report = getattr(diffusers, kind).from_pretrained(
            path, local_files_only=True, use_safetensors=True, low_cpu_mem_usage=False,
            torch_dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
    refuse_random(report, path.name, path)
    model = model.to(device).eval()

    def encode(pixels: torch.Tensor) -> Any:
        with torch.no_grad():
            told = model.encode(pixels.to(device)[None])
            posterior = getattr(told, "latent_dist", None)
            # AutoencoderTiny and AutoencoderDC have no posterior: their output is the latent
            stored = told[0] if posterior is None else torch.cat([posterior.mean, posterior.std], 1)
        return stored.detach().cpu().numpy().squeeze()

    return encode


# --- CLIP -----------------------------------------------------------------------------------------
def _clip_rate(
    path: Path, pictures: Sequence[bytes], seconds: float, device: torch.device
) -> float:
    """Pictures a second of CLIP's image tower."""
    import open_clip
    import torch

    with loading(path.name, path, "open_clip"):
        model, prepare = open_clip.create_model_from_pretrained(
            f"local-dir:{path.resolve()}", precision="fp32", device=device
        )
    model = model.eval()
    decoded = [_decoded(body) for body in pictures[:CLIP_PICTURES]]

    def batch(first: int) -> None:
        chosen = [decoded[(first + n) % len(decoded)] for n in range(CLIP_BATCH)]
        pixels = torch.stack([prepare(picture) for picture in chosen]).to(device)
        with torch.no_grad():
            model.encode_image(pixels, normalize=True).cpu().numpy()

    batch(0)
    done, begun = 0, time.perf_counter()
    while not done or time.perf_counter() - begun < seconds:
        batch(done)
        done += CLIP_BATCH
    return done / (time.perf_counter() - begun)


# --- both -----------------------------------------------------------------------------------------
def _decoded(body: bytes) -> Image.Image:
    with Image.open(BytesIO(body)) as picture:
        return picture.convert("RGB")


@contextmanager
def _torch_defaults() -> Iterator[None]:
    """Without the search for the fastest convolution, which torch leaves off unless asked."""
    import torch

    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def _release() -> None:
    """Give the device's memory back: what cuBLAS keeps for each of the threads, 32 MiB, too."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        torch._C._cuda_clearCublasWorkspaces()  # torch has no other way to free them
        torch.cuda.empty_cache()
