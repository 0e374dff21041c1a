"""Pictures a second that one core decodes, crops and resizes, and how far each way is from Pillow's.

The middle square of a JPEG to a bucket. Speed on made-up photographs, agreement on these and on the
photographs that scikit-image carries. The reference is a full Pillow decode and Pillow's BICUBIC.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.machine import interleaved, store, summary
from curate.bench.photographs import photograph
from curate.images.crops import LEAST_PSNR_DB, crop_to_bucket

Pixels = NDArray[np.uint8]
Way = Callable[[bytes, tuple[int, int, int, int], int], Pixels]

PICTURES: Final = 8
RUNS: Final = 7
SOURCES: Final = ((1024, 1024, 256), (1024, 1024, 512), (683, 512, 256))
FORMS: Final = ((95, "4:4:4"), (90, "4:2:0"))
"""Quality and subsampling: what curate stores unless told otherwise, and what the web has."""
REAL: Final = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "gravel.png",
    "rocket.jpg",
    "retina.jpg",
)


def pillow(body: bytes, box: tuple[int, int, int, int], size: int) -> Pixels:
    with Image.open(BytesIO(body)) as im:
        whole = im.convert("RGB")
    return np.asarray(whole.resize((size, size), Image.Resampling.BICUBIC, box=box))


def pillow_draft(body: bytes, box: tuple[int, int, int, int], size: int) -> Pixels:
    """Decoded at the smallest size that keeps the box twice the bucket."""
    with Image.open(BytesIO(body)) as im:
        share = max(s for s in (1, 2, 4, 8) if s == 1 or box[2] - box[0] >= 2 * size * s)
        im.draft("RGB", (im.width // share, im.height // share))
        small = im.convert("RGB")
    scaled = [side / share for side in box]
    return np.asarray(small.resize((size, size), Image.Resampling.BICUBIC, box=scaled))


def pillow_then_torch(body: bytes, box: tuple[int, int, int, int], size: int) -> Pixels:
    with Image.open(BytesIO(body)) as im:
        whole = torch.from_numpy(np.array(im.convert("RGB"))).permute(2, 0, 1)
    left, top, right, bottom = box
    resized = torch.nn.functional.interpolate(
        whole[None, :, top:bottom, left:right], size=(size, size), mode="bicubic", antialias=True
    )
    return resized[0].permute(1, 2, 0).numpy()


def curate(body: bytes, box: tuple[int, int, int, int], size: int) -> Pixels:
    return crop_to_bucket(body, box, size, size)


WAYS: Final[dict[str, Way]] = {
    "pillow": pillow, "pillow draft": pillow_draft, "pillow decode, torch resize": pillow_then_torch,
    "curate crop_to_bucket": curate,
}  # fmt: skip


def jpeg(pixels: Pixels | Image.Image, quality: int, subsampling: str) -> bytes:
    out = BytesIO()
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    picture.save(out, "JPEG", quality=quality, subsampling=subsampling)
    return out.getvalue()


def middle(body: bytes) -> tuple[int, int, int, int]:
    """The largest centred square whose sides a draft decoder can halve thrice."""
    with Image.open(BytesIO(body)) as im:
        width, height = im.size
    side = min(width, height) // 8 * 8
    left, top = (width - side) // 16 * 8, (height - side) // 16 * 8
    return left, top, left + side, top + side


def psnr(found: Pixels, wanted: Pixels) -> float:
    error = float(np.mean((found.astype(np.float64) - wanted.astype(np.float64)) ** 2))
    return 99.0 if error == 0 else min(99.0, round(10 * float(np.log10(255**2 / error)), 1))


def speed(width: int, height: int, size: int, form: tuple[int, str]) -> dict[str, Any]:
    """Pictures a second of each way on some made-up photographs, and the worst agreement."""
    bodies = [jpeg(photograph(width, height, seed), *form) for seed in range(PICTURES)]
    boxes = [middle(body) for body in bodies]

    def every(way: Way) -> list[Pixels]:
        return [way(body, box, size) for body, box in zip(bodies, boxes, strict=True)]

    taken = interleaved({name: lambda way=way: every(way) for name, way in WAYS.items()}, runs=RUNS)
    wanted = every(pillow)
    figures: dict[str, Any] = {"kilobytes": round(sum(map(len, bodies)) / PICTURES / 1000)}
    for name, way in WAYS.items():
        measured = summary(taken[name])
        worst = min(map(psnr, every(way), wanted))
        rate = round(PICTURES / measured["median_seconds"], 1)
        figures[name] = {"pictures_per_second": rate, "least_psnr_db": worst, **measured}
        print(f"{width} × {height} {form[1]} to {size:4} {name:28} {rate:8.1f}/s {worst:5.1f} dB")
    return figures


def agreement() -> dict[str, Any]:
    """Worst agreement of each way on real photographs, at several reductions."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    names = [name for name in REAL if (folder / name).is_file()]
    pictures = [Image.open(folder / name).convert("RGB") for name in names]
    worst: dict[str, list[float]] = {name: [] for name in WAYS}
    for picture in pictures:
        for form in FORMS:
            body = jpeg(picture, *form)
            box = middle(body)
            for size in sizes(box):
                wanted = pillow(body, box, size)
                for name, way in WAYS.items():
                    worst[name].append(psnr(way(body, box, size), wanted))
    figures = {name: min(found) for name, found in worst.items()}
    for name, found in figures.items():
        print(f"real photographs: {name:28} at least {found:5.1f} dB")
    return {"pictures": names, "least_psnr_db": figures}


def sizes(box: Sequence[int]) -> list[int]:
    return [int((box[2] - box[0]) / share) for share in (1.5, 2.5, 4, 8)]


def main() -> None:
    """Measure, print, store."""
    torch.set_num_threads(1)
    figures = {
        f"{width}x{height} {form[1]} to {size}": speed(width, height, size, form)
        for width, height, size in SOURCES
        for form in FORMS
    }
    store(
        "decode_cpu",
        {
            "threads": 1, "pictures": PICTURES, "promised_psnr_db": LEAST_PSNR_DB,
            "figures": figures, "real_photographs": agreement(),
        },
        packages=("pillow", "torch", "torchvision", "numpy", "scikit-image"),
    )  # fmt: skip


if __name__ == "__main__":
    main()
