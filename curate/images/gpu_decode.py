"""Crops of many pictures at once, on the device that will encode them.

On a GPU plain JPEGs are decoded by nvJPEG (through torchvision) and resized there, so compressed
bytes are all that travels; everything else, and what nvJPEG refuses, takes the CPU's path, which
gives the same pixels within `LEAST_PSNR_DB` (tests/test_gpu_decode.py).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from curate.images.crops import Pixels, as_tensor, crop_to_bucket, jpeg_reader
from curate.images.decode import DAMAGE
from curate.images.encode import encode
from curate.images.jpeg import Plain, plain
from curate.images.ragged_gpu import resample_bytes

if TYPE_CHECKING:
    import torch

Body = bytes | memoryview
IntBox = tuple[int, int, int, int]
Place = tuple["torch.Tensor", int]
"""A batch of pictures, uint8 [n, height, width, 3], and the number of one of them."""
Part = tuple[list[int], "torch.Tensor"]
"""Some rows and their crops, uint8 [k, height, width, 3]."""

LEAST_PSNR_DB: Final = 45.0
"""Promised agreement of a GPU's crop with the CPU's, over all kinds of plain JPEGs."""
MOST_PIXELS: Final = 128 << 20
"""Pixels decoded on a GPU at a time, where its memory allows."""
BYTES_A_PIXEL: Final = 16
"""What a decoded pixel takes until it is resized: as it was decoded, laid together, in halves."""
SHARE_OF_MEMORY: Final = 0.02
"""Of a GPU's memory for pictures being decoded, in each thread."""
ALIKE: Final = 1.25
"""Crops whose sides differ by at most this factor are resized together."""

_log = logging.getLogger(__name__)
_own = threading.local()
_probing = threading.Lock()


def decode_crops(
    bodies: Sequence[Body], boxes: Sequence[IntBox], size: tuple[int, int], device: torch.device, *,
    threads: int = 1,
) -> tuple[torch.Tensor, list[int]]:  # fmt: skip
    """Crops of some pictures, uint8 [k, height, width, 3] on the device, and which pictures they are.

    `boxes` are left, top, right, bottom in upright pixels, `size` is (width, height). A picture
    that cannot be read, or that its box leaves, is left out: the numbers of the others come in
    order. `threads` CPU threads share what is decoded there; their number changes no pixel. On a
    GPU the work runs on a stream of the calling thread and is done when this returns.
    """
    import torch

    if device.type != "cuda":
        crops = _on_cpu(bodies, boxes, size, threads)
        readable = [row for row, crop in enumerate(crops) if crop is not None]
        return _stacked([crop for crop in crops if crop is not None], size), readable
    with torch.cuda.stream(_stream(device)):
        found, readable = _on_gpu(bodies, boxes, size, device, threads)
        _finish(device)
    return found, readable


def gathered(places: Sequence[Place], device: torch.device) -> torch.Tensor:
    """Pictures at some places of some batches as one batch: a view where they lie side by side."""
    import torch

    batch, first = places[0]
    if all(other is batch and at == first + n for n, (other, at) in enumerate(places)):
        return batch[first : first + len(places)]
    pictures = [other[at] for other, at in places]
    if device.type != "cuda":
        return torch.stack(pictures)
    with torch.cuda.stream(_stream(device)):
        together = torch.stack(pictures)
        _finish(device)
    return together


def decoder(device: torch.device) -> str:
    """What decodes JPEGs for a device and what resizes them, with versions, for the lineage."""
    pillow = f"pillow {_release('pillow')}"
    if nvjpeg(device):
        return f"nvjpeg via torchvision {_release('torchvision')}, resample/1; others {pillow}"
    resizing = f"torch {_release('torch')} antialiased bicubic"
    if jpeg_reader() is None:
        return f"{pillow}, {resizing}"
    return f"libjpeg via torchvision {_release('torchvision')}, {resizing}; others {pillow}"


def nvjpeg(device: torch.device) -> bool:
    """Whether JPEGs are decoded on this device; where a GPU cannot, that is said once in the log."""
    if device.type != "cuda":
        return False
    with _probing:
        return _probe(device)


@lru_cache(maxsize=16)
def _probe(device: torch.device) -> bool:
    try:
        from torchvision.io import ImageReadMode, decode_jpeg

        probe = as_tensor(encode(Image.new("RGB", (32, 32))))
        decode_jpeg([probe], mode=ImageReadMode.RGB, device=device)
    except (ImportError, RuntimeError, AttributeError) as error:
        _log.warning("JPEGs are decoded on the CPU, not by %s: %s", device, _line(error))
        return False
    return True


def _release(package: str) -> str:
    return ".".join(version(package).split(".")[:2])


def _line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).split("\n")[0][:200]


# --- on a CPU --------------------------------------------------------------------------------------
def _on_cpu(
    bodies: Sequence[Body], boxes: Sequence[IntBox], size: tuple[int, int], threads: int
) -> list[Pixels | None]:
    """The crop of each picture, None where it cannot be read."""
    if threads < 2 or len(bodies) < 2:
        return [_crop(body, box, size) for body, box in zip(bodies, boxes, strict=True)]
    return list(_pool(threads).map(partial(_crop, size=size), bodies, boxes))


def _crop(body: Body, box: IntBox, size: tuple[int, int]) -> Pixels | None:
    try:
        return crop_to_bucket(body, box, *size)
    except DAMAGE:
        return None


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="decode")


def _stacked(crops: Sequence[Pixels], size: tuple[int, int]) -> torch.Tensor:
    import torch

    width, height = size
    if not crops:
        return torch.empty((0, height, width, 3), dtype=torch.uint8)
    return torch.from_numpy(np.stack(crops))


# --- on a GPU --------------------------------------------------------------------------------------
def _stream(device: torch.device) -> torch.cuda.Stream:
    """The stream on which this thread decodes."""
    import torch

    streams: dict[torch.device, torch.cuda.Stream] = _own.__dict__.setdefault("streams", {})
    if device not in streams:
        streams[device] = torch.cuda.Stream(device)
    return streams[device]


def _finish(device: torch.device) -> None:
    """Wait for this thread's stream; other threads run meanwhile."""
    import torch

    done = torch.cuda.Event(blocking=True)
    done.record(torch.cuda.current_stream(device))
    done.synchronize()


def _on_gpu(
    bodies: Sequence[Body], boxes: Sequence[IntBox], size: tuple[int, int], device: torch.device,
    threads: int,
) -> tuple[torch.Tensor, list[int]]:  # fmt: skip
    """As `decode_crops`, on the current stream."""
    told = [plain(body) for body in bodies] if nvjpeg(device) else [None] * len(bodies)
    work = [Job(row, *job) for row, job in enumerate(zip(bodies, boxes, told, strict=True))]
    here = [job for job in work if job.told is not None and job.fits]
    parts: list[Part] = []
    for chunk in chunks(here, _most_pixels(device)):
        parts += _decoded(chunk, size, device)
    settled = {row for rows, _ in parts for row in rows}
    settled |= {job.row for job in work if job.told is not None and not job.fits}
    rest = [job for job in work if job.row not in settled]
    crops = _on_cpu([job.body for job in rest], [job.box for job in rest], size, threads)
    read = [(job.row, crop) for job, crop in zip(rest, crops, strict=True) if crop is not None]
    if read:
        host = _stacked([crop for _, crop in read], size)
        parts.append(([row for row, _ in read], _sent(host, device)))
    if not parts:
        return _stacked([], size).to(device), []
    return _ordered(parts)


def _sent(host: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on the device, copied without waiting."""
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to decode: its place in the batch, and what its header tells if it is plain."""

    row: int
    body: Body
    box: IntBox
    told: Plain | None

    @property
    def fits(self) -> bool:
        left, top, right, bottom = self.box
        told = self.told
        return told is not None and (
            0 <= left < right <= told.width and 0 <= top < bottom <= told.height
        )

    @property
    def pixels(self) -> int:
        return self.told.width * self.told.height if self.told else 0


def _most_pixels(device: torch.device) -> int:
    import torch

    memory = torch.cuda.get_device_properties(device).total_memory
    return min(MOST_PIXELS, int(memory * SHARE_OF_MEMORY) // BYTES_A_PIXEL)


def chunks(jobs: Sequence[Job], most_pixels: int) -> Iterator[list[Job]]:
    """The jobs in order, as many together as have at most so many pixels, at least one."""
    chunk: list[Job] = []
    pixels = 0
    for job in jobs:
        if chunk and pixels + job.pixels > most_pixels:
            yield chunk
            chunk, pixels = [], 0
        chunk.append(job)
        pixels += job.pixels
    if chunk:
        yield chunk


def _decoded(jobs: list[Job], size: tuple[int, int], device: torch.device) -> list[Part]:
    """Decoded and resized on the GPU; what it refuses, or has no memory for, is left out.

    A refusal names no picture, so the half that holds the refused one is halved until it is alone.
    """
    import torch

    try:
        return resized(jobs, _nvjpeg_pixels(jobs, device), size)
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        full = "out of memory" in str(error)
        _log.debug("nvJPEG refuses %d pictures: %s", len(jobs), _line(error))
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # the decoder may still write what was just given up
        if full:
            torch.cuda.empty_cache()
    if len(jobs) == 1:
        return []
    half = len(jobs) // 2
    return _decoded(jobs[:half], size, device) + _decoded(jobs[half:], size, device)


def _nvjpeg_pixels(jobs: Sequence[Job], device: torch.device) -> list[torch.Tensor]:
    """Whole pictures, uint8 [3, H, W], chroma repeated where the JPEG holds less of it.

    nvJPEG writes on a stream of its own into memory of the current one, so what the current stream
    still has to do with that memory must be done first.
    """
    from torchvision.io import ImageReadMode, decode_jpeg

    _finish(device)
    bodies = [as_tensor(job.body) for job in jobs]
    pictures: list[torch.Tensor] = decode_jpeg(bodies, mode=ImageReadMode.RGB, device=device)
    return pictures


def resized(
    jobs: Sequence[Job], pictures: Sequence[torch.Tensor], size: tuple[int, int]
) -> list[Part]:
    """The crops of decoded plain JPEGs; pictures of nearly one size and of one sampling together."""
    width, height = size
    parts: list[Part] = []
    for group in _groups(jobs):
        told = jobs[group[0]].told
        seen = [pictures[at][:1] if told and told.grey else pictures[at] for at in group]
        crops = resample_bytes(
            seen, [jobs[at].box for at in group], width=width, height=height,
            chroma=(told.across, told.down) if told else (1, 1),
        )  # fmt: skip
        parts.append(([jobs[at].row for at in group], crops))
    return parts


def _groups(jobs: Sequence[Job]) -> Iterator[list[int]]:
    """Numbers of jobs with the same kind of chroma and boxes of nearly the same size."""

    def kind(at: int) -> tuple[bool, int, int, int, int]:
        told, (left, top, right, bottom) = jobs[at].told, jobs[at].box
        chroma = (told.grey, told.across, told.down) if told else (False, 1, 1)
        return *chroma, right - left, bottom - top

    group: list[int] = []
    for at in sorted(range(len(jobs)), key=kind):
        if group:
            first, this = kind(group[0]), kind(at)
            wide, high = this[3] <= ALIKE * first[3], this[4] <= ALIKE * first[4]
            if first[:3] != this[:3] or not (wide and high):
                yield group
                group = []
        group.append(at)
    if group:
        yield group


def _ordered(parts: Sequence[Part]) -> tuple[torch.Tensor, list[int]]:
    """The crops of all parts in the order of their rows, and these rows."""
    import torch

    rows = [row for some, _ in parts for row in some]
    crops = parts[0][1] if len(parts) == 1 else torch.cat([crops for _, crops in parts])
    order = sorted(range(len(rows)), key=rows.__getitem__)
    if order != list(range(len(rows))):
        crops = crops.index_select(0, _sent(torch.tensor(order), crops.device))
    return crops, sorted(rows)
