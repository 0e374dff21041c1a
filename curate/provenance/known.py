"""What a tombstone log knows of removed rows, looked for in names, texts, bytes and pictures.

Texts are searched for keys, hashes and addresses wherever they stand, and for creators that asked
for removal as whole cells and as runs of words; pictures by bytes, pixels and likeness.
"""

from __future__ import annotations

import base64
import binascii
import html
import json
import mmap
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from curate.images.decode import Refusal, decode, sniff
from curate.images.hashes import perceptual, pixel_sha256
from curate.images.likeness import Prints
from curate.provenance.same_picture import MAX_PIXELS, Measure
from curate.sources.removed import creator_sha256, url_sha256
from curate.store.tombstones import Log

Bytes = bytes | mmap.mmap
HEX: Final = re.compile(rb"(?<![0-9A-Fa-f])[0-9A-Fa-f]{16,64}(?![0-9A-Fa-f])")
SHORT: Final = 16
"""Digits that pages shorten a key to."""
SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*$")
REST: Final = re.compile(rb"[^\x00-\x20\"'<>`]{1,4096}")
CUTS: Final = re.compile(r"[,;)\]}*|\\!?.:]")
ENCODED: Final = re.compile(rb"(?:/9j/|iVBORw0KGgo|UklGR|R0lGOD)[A-Za-z0-9+/\r\n]{40,}={0,2}")
SIGNS: Final = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|WEBP|ftypavi[fs]")
BEHIND: Final = {b"WEBP": 8, b"ftypavif": 4, b"ftypavis": 4}
"""How far behind a picture's first byte some signs stand."""
WORD: Final = re.compile(r"[^\s<>\"=|(){}\[\]]+")
MOST_WORDS: Final = 8
CARVED_BYTES: Final = (1 << 22, 1 << 26)
"""How much behind a picture's first bytes is tried, then tried again."""


@dataclass(frozen=True)
class Match:
    """Something that is left: where in the file, what it is, which line of the log knows it."""

    where: str
    what: str
    line: int


@dataclass
class Known:
    """The lines of a log by everything that a row can be known by."""

    log: Log
    measure: Measure
    pictures: int = 0
    short: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    pixels: dict[str, int] = field(default_factory=dict)
    urls: dict[str, int] = field(default_factory=dict)
    creators: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        printed = [entry for entry in self.log.entries if entry.print is not None]
        self._prints = Prints.of([p for entry in printed if (p := entry.print) is not None])
        self._printed = [entry.sequence for entry in printed]
        for entry in self.log.entries:
            for table, value in (
                (self.short, entry.key and entry.key[:SHORT]), (self.files, entry.original_sha256),
                (self.files, entry.stored_sha256), (self.pixels, entry.pixel_sha256),
                (self.urls, entry.url_sha256), (self.creators, entry.creator_sha256),
            ):  # fmt: skip
                if value is not None:
                    table.setdefault(value, entry.sequence)

    def in_text(self, data: Bytes, *, names: bool = True) -> Iterator[Match]:
        """Keys and hashes (unless `names` is false: where they may stand), and addresses."""
        for found in HEX.finditer(data) if names else ():
            yield from self.named(found.group().decode().lower(), _line(data, found.start()))
        for start, text in _addresses(data):
            line = next((n for url in _variants(text) if (n := self._address(url))), None)
            if line is not None:
                yield Match(_line(data, start), "an address of a removed row", line)

    def named(self, text: str, where: str) -> Iterator[Match]:
        """A key, whole or shortened, or the hash of a picture's file."""
        line = self.short.get(text[:SHORT], 0)
        if line and str(self.log.entries[line - 1].key).startswith(text):
            yield Match(where, "the key of a removed row", line)
        elif text in self.files:
            yield Match(where, "the sha256 of a removed picture", self.files[text])

    def _address(self, url: str) -> int | None:
        return self.urls.get(url_sha256(url)) or self.creators.get(creator_sha256(url))

    def in_cell(self, text: str, where: str) -> Iterator[Match]:
        """A whole value: an address with blanks in it, a creator, a creator within a text."""
        if "://" in text and url_sha256(text) in self.urls:
            yield Match(where, "an address of a removed row", self.urls[url_sha256(text)])
        if self.creators:
            yield from self.in_words(text, where)

    def in_words(self, text: str, where: str) -> Iterator[Match]:
        """A creator that asked for removal, as up to eight words in a row."""
        words = [(found.start(), found.end()) for found in WORD.finditer(text)]
        for first, (start, _) in enumerate(words):
            for _, end in words[first : first + MOST_WORDS]:
                name = text[start:end]
                for told in {name, name.strip(".,;:!?'’‘“”*_"), name.removesuffix("'s").removesuffix("’s")}:  # fmt: skip
                    line = self.creators.get(creator_sha256(told))
                    if line is not None:
                        yield Match(where, "a creator who asked for removal", line)

    def in_bytes(self, data: Bytes, where: str) -> Iterator[Match]:
        """A file's or a cell's bytes, by their hash."""
        line = self.files.get(sha256(data).hexdigest())
        if line is not None:
            yield Match(where, "the bytes of a removed picture", line)

    def in_pictures(self, pictures: Iterable[tuple[str, bytes]]) -> Iterator[Match]:
        """Pictures by pixels and by likeness; what does not decode is no picture."""
        for where, data in pictures:
            decoded = decode(data, max_pixels=MAX_PIXELS)
            if isinstance(decoded, Refusal):
                continue
            self.pictures += 1
            line = self.pixels.get(pixel_sha256(decoded.pixels))
            if line is not None:
                yield Match(where, "the pixels of a removed picture", line)
                continue
            yield from self.in_prints([(where, *perceptual(decoded.pixels))])

    def in_prints(self, prints: Iterable[tuple[str, int, bytes]]) -> Iterator[Match]:
        """Perceptual hashes with thumbprints, by likeness."""
        given = list(prints)
        near = self.measure.near(self._prints, Prints.of([(p, t) for _, p, t in given]))
        for at, (where, _, _) in enumerate(given):
            if near.which[at] >= 0:
                told = f"{near.bits[at]} bits, {near.difference[at]:.2f} levels"
                yield Match(where, f"a likeness of a removed picture ({told})",
                            self._printed[near.which[at]])  # fmt: skip


def hidden_pictures(data: Bytes, *, carve: bool) -> Iterator[tuple[str, bytes]]:
    """Pictures in base64 within a text and, with `carve`, those that begin inside other bytes."""
    for found in ENCODED.finditer(data):
        text = b"".join(found.group().split()).rstrip(b"=")
        try:
            picture = base64.b64decode(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            picture = base64.b64decode(text[: len(text) // 4 * 4])
        yield f"{_line(data, found.start())} (base64)", picture
    for found in SIGNS.finditer(data) if carve else ():
        at = max(0, found.start() - BEHIND.get(found.group(), 0))
        for size in CARVED_BYTES:
            piece = bytes(data[at : at + size])
            if sniff(piece) is None:
                break
            whole = len(piece) < size or not isinstance(decode(piece, max_pixels=MAX_PIXELS), Refusal)  # fmt: skip
            if whole:
                yield f"byte {at:,}", piece
                break


def strings_of(value: object, where: str = "") -> Iterator[tuple[str, str]]:
    """(place, text) of every string in a JSON value, names of members included."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield where, name
            yield from strings_of(inner, f"{where}.{name}"[:200])
    elif isinstance(value, list):
        for at, inner in enumerate(value):
            yield from strings_of(inner, f"{where}[{at}]"[:200])


def _addresses(data: Bytes) -> Iterator[tuple[int, bytes]]:
    """(offset, text) of whatever looks like scheme://rest, its slashes perhaps escaped."""
    for marker in (b"://", b":\\/\\/"):
        at = data.find(marker)
        while at >= 0:
            scheme = SCHEME.search(bytes(data[max(0, at - 16) : at]))
            rest = REST.match(data, at + len(marker))
            if scheme and rest:
                yield at, scheme.group() + b"://" + rest.group()
            at = data.find(marker, at + 1)


def _variants(raw: bytes) -> Iterator[str]:
    """What an address may have been before a page, a JSON text or a sentence took it in."""
    text = raw.decode("utf-8", "replace")
    readings: dict[str, None] = {text: None}
    for undo in _UNDO:
        readings.setdefault(undo(text), None)
    for reading in readings:
        yield reading
        for cut in [found.start() for found in CUTS.finditer(reading)][-8:]:
            yield reading[:cut]


def _unescaped(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text.replace("\\/", "/")


_UNDO: Final[tuple[Callable[[str], str], ...]] = (
    html.unescape,
    _unescaped,
    lambda text: re.sub(r"\\(.)", r"\1", text),
    lambda text: html.unescape(_unescaped(text)),
)


def _line(data: Bytes, at: int) -> str:
    """Where an offset lies, for a person: the line of a text, the byte of anything else."""
    if at > 1 << 24 or b"\0" in bytes(data[:1024]):
        return f"byte {at:,}"
    return f"line {bytes(data[:at]).count(10) + 1:,}"
