"""Scenes: one or two coloured shapes before a background, drawn and captioned from a seed.

The generator behind the demo corpus and the builtin models. A scene names what a caption may say;
everything else (place, tilt, shade, texture) follows from its seed, so that two scenes with the
same words still look different and every picture can be drawn again at any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Rgb = tuple[int, int, int]
Floats = NDArray[np.float32]

COLOURS: Final[Mapping[str, Rgb]] = {
    "red": (214, 40, 40), "orange": (245, 130, 32), "yellow": (250, 214, 40),
    "green": (46, 158, 70), "blue": (36, 92, 214), "purple": (128, 52, 168),
    "pink": (248, 142, 190), "white": (245, 245, 245), "black": (20, 20, 20),
}  # fmt: skip
SHAPES: Final = ("circle", "square", "triangle", "star", "cross", "ring")
SIZES: Final = ("small", "large")
RELATIONS: Final[Mapping[str, str]] = {  # each with its opposite
    "above": "below", "below": "above", "left of": "right of", "right of": "left of",
}  # fmt: skip
BACKGROUNDS: Final[Mapping[str, Rgb]] = {
    "gray": (128, 128, 128), "navy": (28, 38, 84), "teal": (22, 108, 112),
    "maroon": (98, 24, 44), "olive": (110, 112, 44), "cream": (240, 228, 196),
    "lavender": (190, 180, 226), "brown": (112, 76, 48),
}  # fmt: skip
PATTERNS: Final = ("plain", "gradient", "striped", "checkered", "dotted", "cloudy")

_CONTRAST = 90.0  # least RGB distance between a shape's colour and the background's
_SUPERSAMPLE = 4
_PLACES = {
    "above": (0.0, -1.0),
    "below": (0.0, 1.0),
    "left of": (-1.0, 0.0),
    "right of": (1.0, 0.0),
}


@dataclass(frozen=True)
class Thing:
    """One shape of a scene, in the words of a caption."""

    shape: str
    colour: str
    size: str


@dataclass(frozen=True)
class Scene:
    """What a picture shows: `relation` tells where the first thing is, seen from the second."""

    things: tuple[Thing, ...]
    relation: str | None
    pattern: str
    background: str
    seed: int


def random_scene(rng: np.random.Generator) -> Scene:
    """A scene of one (40 %) or two things whose colours differ and stand out."""
    background = _pick(rng, tuple(BACKGROUNDS))
    count = 1 if rng.random() < 0.4 else 2
    colours = rng.permutation(_visible(background))[:count]
    shapes = rng.permutation(SHAPES)[:count]
    things = tuple(
        Thing(str(shape), str(colour), _pick(rng, SIZES))
        for shape, colour in zip(shapes, colours, strict=True)
    )
    relation = _pick(rng, tuple(RELATIONS)) if count == 2 else None
    seed = int(rng.integers(2**63))
    return Scene(things, relation, _pick(rng, PATTERNS), background, seed)


def swap_colour(scene: Scene, rng: np.random.Generator) -> Scene:
    """The scene with one thing in another colour that the scene does not have, else unchanged."""
    index = int(rng.integers(len(scene.things)))
    used = {thing.colour for thing in scene.things}
    colour = _pick(rng, tuple(c for c in _visible(scene.background) if c not in used))
    things = list(scene.things)
    things[index] = replace(things[index], colour=colour)
    return replace(scene, things=tuple(things))


def swap_relation(scene: Scene) -> Scene:
    """The scene with its relation turned round.

    Raises ValueError for a scene of one thing, which has no relation.
    """
    if scene.relation is None:
        raise ValueError("a scene of one thing has no relation to swap; ask scene.relation first")
    return replace(scene, relation=RELATIONS[scene.relation])


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """One of several true phrasings; colours and shapes are always named, sizes at times."""
    names = [_name(thing, rng) for thing in scene.things]
    behind = _behind(scene, rng)
    if scene.relation is None:
        return _pick(rng, _ONE).format(a=names[0], behind=behind).strip()
    first, second, relation = names[0], names[1], scene.relation
    if rng.random() < 0.5:
        first, second, relation = second, first, RELATIONS[relation]
    words = {"a": first, "b": second, "is": _spelt(relation, rng), "behind": behind}
    return _pick(rng, _TWO).format(**words).strip()


def draw(scene: Scene, size: int | tuple[int, int] = 64) -> Image.Image:
    """The picture of a scene in RGB, `size` pixels square or (width, height); same seed, same pixels."""
    width, height = (size, size) if isinstance(size, int) else size
    rng = np.random.default_rng(scene.seed)
    canvas = _background(scene, width, height, rng)
    for thing, place in zip(scene.things, _layout(scene, rng), strict=True):
        mask = _mask(thing, place, width, height)
        colour = np.asarray(COLOURS[thing.colour], np.float32) + rng.uniform(-9, 9, 3)
        canvas += mask[..., None] * (colour.astype(np.float32) - canvas)
    return Image.fromarray(np.clip(np.rint(canvas), 0, 255).astype(np.uint8))


# --- words ----------------------------------------------------------------------------------------
_ONE = (
    "{a} {behind}", "a picture of {a} {behind}", "there is {a} {behind}", "a drawing of {a} {behind}",
    "{a} alone {behind}", "a single shape: {a} {behind}",
)  # fmt: skip
_TWO = (
    "{a} {is} {b} {behind}", "{a} is {is} {b} {behind}", "a picture of {a} {is} {b} {behind}",
    "{a} placed {is} {b} {behind}", "two shapes: {a} {is} {b} {behind}",
    "a drawing of {a} {is} {b} {behind}",
)  # fmt: skip
_SPELT: Mapping[str, tuple[str, ...]] = {
    "above": ("above", "above", "over"), "below": ("below", "below", "under"),
    "left of": ("left of", "to the left of"), "right of": ("right of", "to the right of"),
}  # fmt: skip


def _name(thing: Thing, rng: np.random.Generator) -> str:
    words = [thing.size] if rng.random() < 0.5 else []
    words += [thing.colour, thing.shape]
    return f"{'an' if words[0] == 'orange' else 'a'} {' '.join(words)}"


def _behind(scene: Scene, rng: np.random.Generator) -> str:
    chance = rng.random()
    if chance < 0.1:
        return ""
    pattern = "" if chance < 0.3 else f"{scene.pattern} "
    article = "an" if not pattern and scene.background == "olive" else "a"
    return f"{_pick(rng, ('on', 'against', 'in front of'))} {article} {pattern}{scene.background} background"


def _spelt(relation: str, rng: np.random.Generator) -> str:
    return _pick(rng, _SPELT[relation])


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _visible(background: str) -> tuple[str, ...]:
    behind = BACKGROUNDS[background]
    return tuple(name for name, rgb in COLOURS.items() if math.dist(rgb, behind) >= _CONTRAST)


# --- shapes ---------------------------------------------------------------------------------------
@dataclass(frozen=True)
class _Place:
    """Centre in units of width and height, radius in units of the shorter side, tilt in radians."""

    x: float
    y: float
    radius: float
    tilt: float


def _layout(scene: Scene, rng: np.random.Generator) -> list[_Place]:
    """Places of the things; the same random numbers are drawn whatever the words are."""
    jitter = rng.uniform(-1.0, 1.0, (2, 4))
    places = []
    for index, thing in enumerate(scene.things):
        dx, dy, dr, tilt = (float(value) for value in jitter[index])
        if scene.relation is None:
            radius = (0.20 if thing.size == "small" else 0.31) + 0.025 * dr
            places.append(_Place(0.5 + 0.15 * dx, 0.5 + 0.15 * dy, radius, 0.25 * tilt))
            continue
        away_x, away_y = _PLACES[scene.relation if index == 0 else RELATIONS[scene.relation]]
        x = 0.5 + 0.235 * away_x + (0.02 if away_x else 0.16) * dx
        y = 0.5 + 0.235 * away_y + (0.02 if away_y else 0.16) * dy
        radius = (0.135 if thing.size == "small" else 0.205) + 0.012 * dr
        places.append(_Place(x, y, radius, 0.25 * tilt))
    return places


def _mask(thing: Thing, place: _Place, width: int, height: int) -> Floats:
    """Coverage of the shape at each pixel, 0 … 1, [height, width]."""
    scale = _SUPERSAMPLE
    image = Image.new("L", (width * scale, height * scale))
    pen = ImageDraw.Draw(image)
    radius = place.radius * min(width, height) * scale
    x, y = place.x * width * scale, place.y * height * scale
    if thing.shape in ("circle", "ring"):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
        hole = 0.55 * radius
        if thing.shape == "ring":
            pen.ellipse((x - hole, y - hole, x + hole, y + hole), fill=0)
    else:
        sine, cosine = math.sin(place.tilt), math.cos(place.tilt)
        outline = [
            (x + radius * (cosine * u - sine * v), y + radius * (sine * u + cosine * v))
            for u, v in _OUTLINES[thing.shape]
        ]
        pen.polygon(outline, fill=255)
    return np.asarray(image.reduce(scale), np.float32) / 255.0


def _polygon(radii: tuple[float, ...]) -> list[tuple[float, float]]:
    """Corners at equal angles from the top, the radii taken in turn."""
    step = 2 * math.pi / len(radii)
    return [(r * math.sin(i * step), -r * math.cos(i * step)) for i, r in enumerate(radii)]


_OUTLINES: Mapping[str, list[tuple[float, float]]] = {
    "square": [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)],
    "triangle": [(u, v + 0.12) for u, v in _polygon((1.12,) * 3)],
    "star": _polygon((1.12, 0.48) * 5),
    "cross": [
        (-0.34, -1), (0.34, -1), (0.34, -0.34), (1, -0.34), (1, 0.34), (0.34, 0.34),
        (0.34, 1), (-0.34, 1), (-0.34, 0.34), (-1, 0.34), (-1, -0.34), (-0.34, -0.34),
    ],
}  # fmt: skip


# --- backgrounds ----------------------------------------------------------------------------------
def _background(scene: Scene, width: int, height: int, rng: np.random.Generator) -> Floats:
    """The canvas before anything is drawn on it, float32 [height, width, 3], 0 … 255."""
    base = np.asarray(BACKGROUNDS[scene.background], np.float32)
    base = base + np.float32(rng.uniform(-9, 9)) + rng.uniform(-5, 5, 3).astype(np.float32)
    angle, phase = rng.uniform(0, 2 * math.pi), rng.uniform(0, 1, 2).astype(np.float32)
    depth, waves = rng.uniform(20, 34), rng.uniform(2.5, 5.0)
    cloud = rng.standard_normal((5, 5)).astype(np.float32)
    side = min(width, height)
    x: Floats = np.asarray((np.arange(width) + 0.5 - width / 2) / side, np.float32)[None, :]
    y: Floats = np.asarray((np.arange(height) + 0.5 - height / 2) / side, np.float32)[:, None]
    u: Floats = np.asarray(math.cos(angle) * x + math.sin(angle) * y, np.float32)
    v: Floats = np.asarray(math.cos(angle) * y - math.sin(angle) * x, np.float32)
    smooth: Floats = np.asarray(
        Image.fromarray(cloud).resize((width, height), Image.Resampling.BICUBIC), np.float32
    )
    shade = _SHADES[scene.pattern](u * waves + phase[0], v * waves + phase[1], u, smooth)
    light = depth * shade + 4.0 * smooth
    return base + light[..., None].astype(np.float32)


def _soft(wave: Floats) -> Floats:
    """A sine pressed towards a square wave, with edges soft enough for a small picture."""
    return np.asarray(np.clip(2 * wave, -1, 1), np.float32)


_TURN = np.float32(2 * math.pi)
_SHADES: Mapping[str, Callable[[Floats, Floats, Floats, Floats], Floats]] = {
    "plain": lambda u, v, across, cloud: np.zeros_like(u),
    "gradient": lambda u, v, across, cloud: 2.2 * across,
    "striped": lambda u, v, across, cloud: _soft(np.sin(_TURN * u)),
    "checkered": lambda u, v, across, cloud: _soft(
        2 * np.sin(_TURN / 2 * u) * np.sin(_TURN / 2 * v)
    ),
    "dotted": lambda u, v, across, cloud: _soft(2 * np.cos(_TURN * u) * np.cos(_TURN * v) - 0.6),
    "cloudy": lambda u, v, across, cloud: 0.9 * cloud,
}
