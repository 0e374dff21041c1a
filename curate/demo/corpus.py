"""The demo corpus: captioned pictures drawn from a seed, their metadata, and the planted truth.

Of 2,400 rows 1,776 are good, 64 of them odd (faults.ODDITIES). Planted: licence 168 (NC, ND,
unknown, ambiguous 36 each, contradictory 24), noai 24, robots.txt 12, TDMRep 12, 404 30, 500 12,
timeout 6, HTML 18, truncated 18, small 18, long 12, malformed 18; duplicates 36 exact, 54 near;
captions 102 of another picture, 48 with a colour, 36 with the relation swapped. One fault a row.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import numpy as np
from PIL import Image

from curate.demo import faults, scenes
from curate.demo.licences import GROUPS, WORDINGS, Wording, group
from curate.demo.seen import Seen

SOURCE: Final = "demo"
METADATA: Final = "metadata.parquet"
TRUTH: Final = "truth.parquet"
GOOD: Final = "none"

T = TypeVar("T")
Rng = np.random.Generator

_SIZES: Final = (
    (64, 64), (64, 64), (80, 80), (96, 96), (128, 128), (96, 80), (80, 96), (96, 72), (72, 96),
)  # fmt: skip
_FORMS: Final = ("JPEG",) * 8 + ("PNG", "WEBP")
_SUFFIXES: Final = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_OPEN_SHARE: Final = 0.7  # of the good rows; the others are share-alike


@dataclass(frozen=True, kw_only=True)
class Row:
    """One candidate: what the source says about it, what the server does, and what is true."""

    index: int
    scene: scenes.Scene
    picture: Image.Image  # upright RGB, before any encoding
    size: tuple[int, int]  # of the upright picture, pixels
    caption: str
    true_caption: str
    wording: Wording
    form: str = "JPEG"
    quality: int = 92
    body: bytes | None = None  # what the server holds; None: there is no file
    behaviour: Mapping[str, object] | None = None
    folder: str = ""  # below which the server holds it; one that ends in a slash
    fault: str = GOOD
    oddity: str | None = None
    detail: str = ""
    cluster: int | None = None
    cluster_rank: int | None = None
    expected: Image.Image | None = None  # upright RGB, for pictures that are easily read wrongly

    @property
    def source_id(self) -> str:
        return f"pic-{self.index:05d}"

    @property
    def key(self) -> str:
        """Lower-case hex sha256 of source, a NUL byte and the source's id."""
        return hashlib.sha256(f"{SOURCE}\0{self.source_id}".encode()).hexdigest()

    @property
    def file_name(self) -> str:
        return f"{self.folder}{self.index:05d}.{_SUFFIXES[self.form]}"


Plant = Callable[[Row, int, Rng], Row]
"""Gives a row its bytes and its fault: row, how many of its kind came before, randomness."""


@dataclass(frozen=True)
class Corpus:
    """A written corpus: where it is, and how many rows of each fault it holds."""

    directory: Path
    rows: int
    planted: Mapping[str, int]

    @property
    def metadata(self) -> Path:
        return self.directory / METADATA

    @property
    def truth(self) -> Path:
        return self.directory / TRUTH


def write_corpus(directory: str | Path, *, pictures: int = 2400, seed: int = 0) -> Corpus:
    """Draw a corpus of `pictures` rows and write it: the same files for the same seed and Pillow.

    Writes metadata.parquet, pictures/, server.json and truth.parquet, replacing older ones.
    Raises RecipeError below `faults.FEWEST_PICTURES`.
    """
    from curate.demo.writing import write

    rows = draw_rows(pictures=pictures, seed=seed)
    directory = Path(directory)
    write(rows, directory, seed=seed)
    planted = {name: sum(row.fault == name for row in rows) for name in (GOOD, *faults.FAULTS)}
    return Corpus(directory, len(rows), planted)


def draw_rows(*, pictures: int, seed: int) -> list[Row]:
    """The rows of a corpus in the order of their ids; nothing in an id tells the fault."""
    rng = np.random.default_rng([seed, 0])
    kinds = [kind for kind, count in faults.counts(pictures).items() for _ in range(count)]
    kinds += [GOOD] * (pictures - len(kinds))
    roles = [kinds[position] for position in rng.permutation(len(kinds))]
    rows = _planted(_drawn(roles, seed), roles, seed)
    rows = _with_copies(rows, roles, rng)
    rows = _with_captions_of_others(rows, roles, rng)
    return _with_survivors(rows)


# --- rows one by one --------------------------------------------------------------------------------
def _drawn(roles: Sequence[str], seed: int) -> list[Row]:
    """Rows with a scene, a size and words; no two pictures look alike."""
    rows: list[Row] = []
    seen = Seen(len(roles))
    wordings = _wordings(roles, seed)
    for index, role in enumerate(roles):
        rng = np.random.default_rng([seed, 1, index])
        size = _size(role, rng)
        while True:
            scene = scenes.random_scene(rng)
            if role == "caption_relation" and scene.relation is None:
                continue
            if seen.is_new(picture := scenes.draw(scene, size)):
                break
        words = scenes.caption(scene, rng)
        rows.append(
            Row(index=index, scene=scene, picture=picture, size=size, caption=words,
                true_caption=words, wording=wordings[index], form=_pick(rng, _FORMS),
                quality=int(rng.integers(88, 96)))
        )  # fmt: skip
    return rows


def _size(role: str, rng: Rng) -> tuple[int, int]:
    if role == "too_small":
        return int(rng.integers(20, 41)), int(rng.integers(20, 41))
    if role == "too_long":
        return _pick(rng, ((224, 56), (56, 224), (256, 64), (72, 288)))
    if role == "exif_rotated":
        return _pick(rng, ((96, 72), (72, 96)))  # a wrong turn shows in the size too
    return _pick(rng, _SIZES)


def _wordings(roles: Sequence[str], seed: int) -> list[Wording]:
    """A wording a row: each is used about equally often, none is left out of a large corpus."""
    rng = np.random.default_rng([seed, 2])
    accepted = WORDINGS["accepted"]
    decks = {
        "open": _Deck([w for w in accepted if group(w.means) == "open"], rng),
        "sharealike": _Deck([w for w in accepted if group(w.means) == "sharealike"], rng),
    }
    decks |= {f"license_{name}": _Deck(given, rng) for name, given in WORDINGS.items()}
    wordings = []
    for role in roles:
        good = "open" if rng.random() < _OPEN_SHARE else "sharealike"
        wordings.append(decks[role if role in decks else good].deal())
    return wordings


class _Deck:
    """Deals all wordings in a random order before any comes again."""

    def __init__(self, wordings: Sequence[Wording], rng: Rng) -> None:
        self._wordings, self._rng = wordings, rng
        self._rest: list[Wording] = []

    def deal(self) -> Wording:
        if not self._rest:
            self._rest = [self._wordings[i] for i in self._rng.permutation(len(self._wordings))]
        return self._rest.pop()


def _planted(rows: Sequence[Row], roles: Sequence[str], seed: int) -> list[Row]:
    """The rows with their bytes and, where the role is one, their fault or oddity."""
    made, turns = [], Counter[str]()
    for row, role in zip(rows, roles, strict=True):
        rng, turn = np.random.default_rng([seed, 3, row.index]), turns[role]
        turns[role] += 1
        if role in faults.ODDITIES:
            row = replace(row, oddity=role)
        elif role in faults.FAULTS and role not in _FROM_OTHERS:
            row = replace(row, fault=role)
        made.append(_PLANTS.get(role, _plain)(row, turn, rng))
    return made


def _plain(row: Row, turn: int, rng: Rng) -> Row:
    body = faults.encoded(row.picture, row.form, quality=row.quality)
    return replace(row, body=body)


def _with_headers(choices: Sequence[Sequence[str]]) -> Plant:
    def plant(row: Row, turn: int, rng: Rng) -> Row:
        values = choices[turn % len(choices)]
        headers = [["X-Robots-Tag", value] for value in values]
        row = replace(row, behaviour={"headers": headers}, detail=" | ".join(values))
        return _plain(row, turn, rng)

    return plant


def _below(folder: str) -> Plant:
    return lambda row, turn, rng: replace(_plain(row, turn, rng), folder=folder, detail=folder)


def _reserved(row: Row, turn: int, rng: Rng) -> Row:
    """By the origin's file and by the response's own fields, in turns."""
    if turn % 2 == 0:
        return _below(faults.RESERVED)(row, turn, rng)
    headers = [list(field) for field in faults.TDM_FIELDS]
    return replace(_plain(row, turn, rng), behaviour={"headers": headers}, detail="fields")


def _silent(behaviour: Mapping[str, object]) -> Plant:
    return lambda row, turn, rng: replace(row, behaviour=behaviour)


def _html(row: Row, turn: int, rng: Rng) -> Row:
    return replace(row, form="JPEG", body=faults.html_page(row.true_caption))


def _truncated(row: Row, turn: int, rng: Rng) -> Row:
    whole = faults.encoded(row.picture, "JPEG", quality=row.quality)
    return replace(row, form="JPEG", body=faults.truncated(whole, rng))


def _malformed(row: Row, turn: int, rng: Rng) -> Row:
    detail = faults.MALFORMED[turn % len(faults.MALFORMED)]
    return replace(_plain(row, turn, rng), detail=detail)


def _caption_colour(row: Row, turn: int, rng: Rng) -> Row:
    words = scenes.caption(scenes.swap_colour(row.scene, rng), rng)
    return replace(_plain(row, turn, rng), caption=words)


def _caption_relation(row: Row, turn: int, rng: Rng) -> Row:
    words = scenes.caption(scenes.swap_relation(row.scene), rng)
    return replace(_plain(row, turn, rng), caption=words)


def _exif_rotated(row: Row, turn: int, rng: Rng) -> Row:
    image, orientation = row.picture, 2 + turn % 7
    body, detail = faults.exif_rotated(image, orientation), f"orientation {orientation}"
    return replace(row, form="JPEG", body=body, expected=image, detail=detail)


def _cmyk(row: Row, turn: int, rng: Rng) -> Row:
    image = row.picture
    return replace(row, form="JPEG", body=faults.cmyk(image), expected=image)


def _png16(row: Row, turn: int, rng: Rng) -> Row:
    image = row.picture
    return replace(row, form="PNG", body=faults.png16(image), expected=image)


def _alpha(row: Row, turn: int, rng: Rng) -> Row:
    body, shown = faults.with_alpha(row.picture)
    return replace(row, form="PNG", body=body, expected=shown)


_FROM_OTHERS: Final = ("duplicate_exact", "duplicate_near", "caption_random")
_PLANTS: Final[Mapping[str, Plant]] = {
    "noai": _with_headers(faults.ROBOTS_AGAINST_US), "robots_txt": _below(faults.CLOSED),
    "tdm_reservation": _reserved, "robots_allow": _below(faults.OPEN_AGAIN), "http_404": _silent({"status": 404}),
    "http_500": _silent({"status": 500}), "timeout": _silent({"hold": True}),
    "html_as_jpeg": _html, "truncated": _truncated, "malformed": _malformed,
    "caption_colour": _caption_colour, "caption_relation": _caption_relation,
    "exif_rotated": _exif_rotated, "cmyk": _cmyk, "png16": _png16, "alpha": _alpha,
    "robots_of_another": _with_headers(faults.ROBOTS_OF_ANOTHER),
}  # fmt: skip


# --- rows made from other rows ------------------------------------------------------------------------
def _with_copies(rows: Sequence[Row], roles: Sequence[str], rng: Rng) -> list[Row]:
    """Rows of a duplicate role become copies of good rows; every fifth original has two."""
    made = list(rows)
    originals = iter(rng.permutation([i for i, role in enumerate(roles) if role == GOOD]).tolist())
    cluster = 0
    for role in ("duplicate_exact", "duplicate_near"):
        waiting = [index for index, other in enumerate(roles) if other == role]
        while waiting:
            original = replace(made[next(originals)], cluster=cluster, detail=role)
            made[original.index] = original
            wording = _wording_of_copies(original, cluster, rng)
            for number in range(2 if cluster % 5 == 0 else 1):
                if waiting:
                    copy = replace(made[waiting.pop()], wording=wording, cluster=cluster)
                    made[copy.index] = _COPIES[role](copy, original, cluster + number, rng)
            cluster += 1
    return made


def _wording_of_copies(original: Row, cluster: int, rng: Rng) -> Wording:
    """That of the original; in every third cluster one of the other group, freer or narrower."""
    if cluster % 3:
        return original.wording
    mine = group(original.wording.means)
    others = [w for w in WORDINGS["accepted"] if group(w.means) != mine]
    return others[int(rng.integers(len(others)))]


def _exact_copy(copy: Row, original: Row, turn: int, rng: Rng) -> Row:
    words = original.caption if turn % 2 else scenes.caption(original.scene, rng)
    return replace(
        original, index=copy.index, wording=copy.wording, caption=words, true_caption=words,
        detail="duplicate_exact",
    )  # fmt: skip


def _near_copy(copy: Row, original: Row, turn: int, rng: Rng) -> Row:
    kind = faults.NEAR_KINDS[turn % len(faults.NEAR_KINDS)]
    image = faults.near_copy(original.picture, kind, rng)
    form = _pick(rng, ("JPEG", "WEBP"))
    quality = int(rng.integers(76, 86))
    words = scenes.caption(original.scene, rng)
    return replace(
        original, index=copy.index, wording=copy.wording, picture=image, size=image.size, form=form,
        quality=quality, body=faults.encoded(image, form, quality=quality), caption=words,
        true_caption=words, detail=f"duplicate_near: {kind}",
    )  # fmt: skip


_COPIES: Final = {"duplicate_exact": _exact_copy, "duplicate_near": _near_copy}


def _with_captions_of_others(rows: Sequence[Row], roles: Sequence[str], rng: Rng) -> list[Row]:
    """Captions of other pictures, of which no coloured shape is in the row's own picture."""
    made = list(rows)
    for row in rows:
        if roles[row.index] != "caption_random":
            continue
        mine = _coloured_shapes(row)
        while True:
            donor = rows[int(rng.integers(len(rows)))]
            if not mine & _coloured_shapes(donor):
                break
        made[row.index] = replace(
            row, fault="caption_random", caption=donor.true_caption, detail=donor.key
        )
    return made


def _coloured_shapes(row: Row) -> set[tuple[str, str]]:
    return {(thing.colour, thing.shape) for thing in row.scene.things}


def _with_survivors(rows: Sequence[Row]) -> list[Row]:
    """Rank each cluster: the best licensed, then the largest, then the smallest key stays."""
    made = list(rows)
    clusters: dict[int, list[Row]] = {}
    for row in rows:
        if row.cluster is not None:
            clusters.setdefault(row.cluster, []).append(row)
    for members in clusters.values():
        for rank, row in enumerate(sorted(members, key=_standing)):
            kind = row.detail.partition(":")[0]
            made[row.index] = replace(row, cluster_rank=rank, fault=kind if rank else GOOD)
    return made


def _standing(row: Row) -> tuple[int, int, str]:
    held_in = group(row.wording.means)
    licence = GROUPS.index(held_in) if held_in else len(GROUPS)
    return licence, -row.size[0] * row.size[1], row.key


def _pick(rng: Rng, options: Sequence[T]) -> T:
    return options[int(rng.integers(len(options)))]
