"""Made-up photographs: what a JPEG codec and a VAE meet in real ones, without anybody's picture.

Clouds whose spectrum falls as natural images' does, planes and discs with sharp borders in front
of each other, light and colour that go together, and the grain of a sensor.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]

ASPECTS: Final = (
    (1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (16, 9), (9, 16), (5, 4),
)  # fmt: skip
"""Width to height, as cameras and the web have them."""
STEP: Final = 8
FALL: Final = 1.4  # amplitude falls as frequency to this power
OBJECTS: Final = 9
GRAIN: Final = 1.6
CONTRAST: Final = 42.0
TINT: Final = 11.0


def shape_of(number: int, *, pixels: int, least_side: int) -> tuple[int, int]:
    """Width and height of a picture: about `pixels` in all, no side below `least_side`."""
    across, down = ASPECTS[number % len(ASPECTS)]
    scale = max(math.sqrt(pixels / (across * down)), least_side / min(across, down))
    width, height = (max(least_side, round(side * scale / STEP) * STEP) for side in (across, down))
    return width, height


def photograph(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """uint8 [height, width, 3]; the same seed gives the same picture."""
    rng = np.random.default_rng(seed)
    fall = _fall(width, height)
    light = _cloud(fall, width, height, rng)
    tints = [_cloud(fall, width, height, rng) for _ in range(2)]
    for inside in _objects(width, height, rng):
        light = np.where(inside, 0.6 * light + rng.normal() * 0.9, light)
        tints = [np.where(inside, 0.5 * tint + rng.normal(), tint) for tint in tints]
    light = CONTRAST * (light - light.mean()) / light.std()
    warm, green = (TINT * tint for tint in tints)
    planes = np.stack([light + warm, light + green, light - warm], axis=2)
    planes += rng.normal(0.0, GRAIN, (height, width, 1)).astype(np.float32)
    return np.clip(planes + 122.0, 0, 255).astype(np.uint8)


def _fall(width: int, height: int) -> Plane:
    """Amplitude by frequency, [height, width // 2 + 1]."""
    down, across = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    lowest = 1.0 / max(width, height)
    return (np.maximum(np.hypot(down, across), lowest) ** -FALL).astype(np.float32)


def _cloud(fall: Plane, width: int, height: int, rng: np.random.Generator) -> Plane:
    """A plane of unit deviation with the given spectrum and random phases."""
    turn = rng.random(fall.shape, dtype=np.float32) * np.float32(2 * np.pi)
    waves = fall * (np.cos(turn) + 1j * np.sin(turn)).astype(np.complex64)
    plane = np.fft.irfft2(waves, s=(height, width)).astype(np.float32)
    plane -= plane.mean()
    return plane / plane.std()


def _objects(width: int, height: int, rng: np.random.Generator) -> list[NDArray[np.bool_]]:
    """Where each of some half planes and discs is, one in front of the other."""
    down, across = np.ogrid[0:height, 0:width]
    found: list[NDArray[np.bool_]] = []
    for number in range(OBJECTS):
        x, y = rng.random() * width, rng.random() * height
        if number < OBJECTS // 3:
            angle = rng.random() * 2 * np.pi
            found.append((across - x) * np.cos(angle) + (down - y) * np.sin(angle) > 0)
        else:
            radius = (0.04 + 0.2 * rng.random()) * min(width, height)
            stretch = 0.5 + rng.random()
            found.append((across - x) ** 2 * stretch + (down - y) ** 2 / stretch < radius**2)
    return found
