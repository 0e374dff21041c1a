"""open_clip's picture preprocessing for whole batches on any device.

The model's own config says how: resized to its size, cut or filled up, normalised. Between the
two steps pictures are bytes, as in Pillow, so the same pixels reach the model either way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from PIL import Image

from curate.errors import ModelError
from curate.images.resample import resample, rounded

if TYPE_CHECKING:
    import torch

Mode = Literal["shortest", "squash", "longest"]
MODES: Final[tuple[Mode, ...]] = ("shortest", "squash", "longest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """A model's preprocessing; `own` is open_clip's transform of one picture, through Pillow."""

    width: int
    height: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    bilinear: bool
    mode: Mode
    fill: int
    own: Callable[[Any], torch.Tensor]

    def squares(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [n, h, w, 3] to uint8 [n, height, width, 3] of the model's size, on the device."""
        rows, columns = pixels.shape[1:3]
        width, height = self.resized(columns, rows)
        if (width, height) == (columns, rows):
            return self._centred(pixels).contiguous()
        values = resample(
            pixels.permute(0, 3, 1, 2), width=width, height=height,
            filter="bilinear" if self.bilinear else "bicubic",
        )  # fmt: skip
        top, left = max(0, _middle(height, self.height)), max(0, _middle(width, self.width))
        kept = values[:, :, top : top + self.height, left : left + self.width]
        return self._centred(rounded(kept)).contiguous()

    def normalised(self, squares: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """What `squares` gives as the model's input [n, 3, height, width]."""
        values = squares.permute(0, 3, 1, 2).float().contiguous()
        for colour, (mean, std) in enumerate(zip(self.mean, self.std, strict=True)):
            values[:, colour].sub_(mean * 255.0).div_(std * 255.0)  # numbers: no copy to wait for
        return values.to(dtype)

    def with_pillow(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [n, h, w, 3] on any device to float32 [n, 3, height, width] on the CPU.

        By open_clip's own transform.
        """
        import torch

        pictures = [self.own(Image.fromarray(one)) for one in pixels.cpu().numpy()]
        return torch.stack(pictures)

    def squares_with_pillow(self, pixels: torch.Tensor) -> torch.Tensor:
        """The same as `squares`, through Pillow: the bytes that open_clip's transform normalises."""
        import torch

        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.mean, self.std))
        whole = ((self.with_pillow(pixels) * std + mean) * 255.0).round_().to(torch.uint8)
        return whole.permute(0, 2, 3, 1).contiguous().to(pixels.device)

    def resized(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that a picture is resized to before it is cut or filled up."""
        if self.mode == "squash":
            return self.width, self.height
        if self.mode == "shortest" and self.width == self.height:
            short = min(width, height)
            long = int(self.width * max(width, height) / short)
            return (self.width, long) if width <= height else (long, self.width)
        ratios = (width / self.width, height / self.height)
        ratio = max(ratios) if self.mode == "longest" else min(ratios)
        return max(1, round(width / ratio)), max(1, round(height / ratio))

    def _centred(self, pixels: torch.Tensor) -> torch.Tensor:
        """The middle [n, height, width, 3], filled up where there is less."""
        import torch.nn.functional as F

        rows, columns = pixels.shape[1:3]
        more_rows, more_columns = max(0, self.height - rows), max(0, self.width - columns)
        if more_rows or more_columns:
            left, top = more_columns // 2, more_rows // 2
            beside = (0, 0, left, more_columns - left, top, more_rows - top)
            fill = self.fill if self.mode == "longest" else 0
            pixels = F.pad(pixels, beside, value=fill)
            rows, columns = pixels.shape[1:3]
        top, left = _middle(rows, self.height), _middle(columns, self.width)
        return pixels[:, top : top + self.height, left : left + self.width]


def preprocess_of(model: Any, own: Callable[[Any], torch.Tensor]) -> Preprocess:
    """The preprocessing of a loaded open_clip model whose transform of one picture is `own`.

    Raises ModelError for a config that names a way of resizing that is not known here.
    """
    from open_clip import get_model_preprocess_cfg

    config = get_model_preprocess_cfg(model)
    mode = config.get("resize_mode") or "shortest"
    if mode not in MODES:
        raise ModelError(f"resize_mode {mode!r} is none of {', '.join(MODES)}")
    height, width = _two(config["size"])
    square = mode != "shortest" or width == height  # open_clip resizes other shapes bicubically
    return Preprocess(
        width=width, height=height, mean=_three(config["mean"]), std=_three(config["std"]),
        bilinear=config.get("interpolation") == "bilinear" and square, mode=mode,
        fill=int(config.get("fill_color") or 0), own=own,
    )  # fmt: skip


def _middle(length: int, kept: int) -> int:
    """Where the middle `kept` of a length begins (rounded as torchvision does)."""
    return round((length - kept) / 2.0)


def _two(size: Any) -> tuple[int, int]:
    if isinstance(size, (list, tuple)):
        return int(size[0]), int(size[-1])
    return int(size), int(size)


def _three(values: Any) -> tuple[float, ...]:
    if isinstance(values, (list, tuple)):
        return tuple(float(value) for value in values)
    return (float(values),) * 3
