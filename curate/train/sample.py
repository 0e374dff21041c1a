"""Pictures from a checkpoint, through the very pipeline that others would use.

The same prompt, seed, steps and guidance give the picture that PixArtAlphaPipeline gives with
`generator=torch.Generator().manual_seed(seed)`, `clean_caption=False` and no resolution binning.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from curate.train.checkpoint import locate

_MARGIN, _LINE = 8, 14


def open_pipeline(checkpoint: str | Path, *, device: str = "auto") -> Any:
    """The checkpoint as a PixArtAlphaPipeline on a device, quiet; raises MissingInput."""
    from diffusers.pipelines.pixart_alpha.pipeline_pixart_alpha import PixArtAlphaPipeline

    from curate.models.device import pick

    silence_loading()
    pipeline = PixArtAlphaPipeline.from_pretrained(
        locate(Path(checkpoint)), local_files_only=True, use_safetensors=True,
        low_cpu_mem_usage=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(pick(device))


def silence_loading() -> None:
    """No progress bars for loading weights: our own line says what goes on."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()


def sample(
    checkpoint: str | Path, prompts: Sequence[str], *, seed: int = 0, steps: int = 20,
    guidance: float = 4.5, height: int | None = None, width: int | None = None,
    device: str = "auto", batch_size: int = 16,
) -> list[Image.Image]:  # fmt: skip
    """One RGB picture a prompt, each from noise of the same seed.

    `steps` are solver steps, `guidance` 1 means none; height and width are pixels and default to
    the size that was trained on.
    """
    import torch

    pipeline = open_pipeline(checkpoint, device=device)
    side = pipeline.transformer.config.sample_size * pipeline.vae_scale_factor
    images: list[Image.Image] = []
    for start in range(0, len(prompts), batch_size):
        batch = list(prompts[start : start + batch_size])
        result = pipeline(
            prompt=batch, num_inference_steps=steps, guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed) for _ in batch],
            height=height or side, width=width or side,
            use_resolution_binning=False, clean_caption=False,
        )  # fmt: skip
        images += result.images
    return images


def grid(
    images: Sequence[Image.Image], labels: Sequence[str], *, columns: int = 4, footer: str = "",
    cell: int = 192,
) -> Image.Image:  # fmt: skip
    """The pictures in rows, each over its label, and a footer, all within an even margin.

    `cell` is the side of a picture in pixels.
    """
    font = ImageFont.load_default(size=11)
    wrapped = [_wrap(label, font, cell) for label in labels]
    text = _LINE * max((len(lines) for lines in wrapped), default=0)
    columns = max(1, min(columns, len(images)))
    rows = -(-len(images) // columns)
    wide = columns * (cell + _MARGIN) + _MARGIN
    below = _wrap(footer, font, wide - 2 * _MARGIN)
    high = rows * (cell + text + _MARGIN) + _MARGIN + _LINE * len(below)
    sheet = Image.new("RGB", (wide, high), "white")
    pen = ImageDraw.Draw(sheet)
    for index, (image, lines) in enumerate(zip(images, wrapped, strict=True)):
        left = _MARGIN + (index % columns) * (cell + _MARGIN)
        top = _MARGIN + (index // columns) * (cell + text + _MARGIN)
        sheet.paste(_fit(image, cell), (left, top))
        pen.text((left, top + cell + 1), "\n".join(lines), fill="black", font=font, spacing=1)
    pen.text((_MARGIN, high - _LINE * len(below) - 3), "\n".join(below), fill="#555555", font=font)
    return sheet


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, pixels: int) -> list[str]:
    """Lines that are no wider than so many pixels in this font."""
    for characters in range(pixels // 4, 1, -1):
        lines = textwrap.wrap(text, width=characters)
        if all(font.getlength(line) <= pixels for line in lines):
            return lines
    return textwrap.wrap(text, width=1)


def _fit(image: Image.Image, cell: int) -> Image.Image:
    """The picture scaled to fill one side of the cell; small ones keep their square pixels."""
    scale = cell / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.LANCZOS
    return image.convert("RGB").resize(size, how)
