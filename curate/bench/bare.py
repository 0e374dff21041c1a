"""The bare loop: this repository's encoders on one device, with nothing around them.

Decoded pictures lie in pinned memory and captions as token ids; results end in pinned memory too.
Copies run beside the computation, as in a worker; nothing is read, judged or written.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from curate import columns as c
from curate.bench.data import BenchSet, Say
from curate.bench.flops import clip_image_flops, clip_text_flops, t5_flops, vae_flops
from curate.bench.result import BareRates, Rate
from curate.errors import EngineError
from curate.models import Part, resolve
from curate.models.agreement import Agreement
from curate.models.launch import Lane, Pending, lane
from curate.stages.clip_score import ClipScore
from curate.stages.encoders import SAMPLE_ROWS, Encoder
from curate.stages.t5 import T5Stage
from curate.stages.vae import VaeStage

if TYPE_CHECKING:
    import torch

UNITS: Final = 3
UNIT_ROWS: Final = 1024
UNIT_BYTES: Final = 400 << 20
AHEAD: Final = 2
"""Units that may be enqueued before the oldest one's results are waited for."""
SHORT: Final = 16
"""Figures that the goal does not name are measured for a sixteenth of the time."""


@dataclass(frozen=True)
class Unit:
    """Some rows of the data set: pictures [n, px, px, 3] on the host, the JPEGs, token ids."""

    pixels: torch.Tensor
    table: pa.Table
    clip_ids: torch.Tensor
    t5_ids: Any
    tokens: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.table)


@dataclass(frozen=True)
class Encoders:
    """The three models as their stages load them, and the stages."""

    clip_stage: ClipScore
    t5_stage: T5Stage
    vae_stage: VaeStage
    clip: Any
    t5: Any
    vae: Any

    @classmethod
    def load(cls, stages: Sequence[Any], sample: pa.Table) -> Encoders:
        """Load them, each fast path checked on rows of the data set."""
        kinds: dict[str, Encoder] = {stage.kind: stage for stage in stages}
        clip, t5, vae = kinds["clip_score"], kinds["t5"], kinds["vae"]
        if not (
            isinstance(clip, ClipScore) and isinstance(t5, T5Stage) and isinstance(vae, VaeStage)
        ):
            raise EngineError(f"the bench wants clip_score, t5 and vae, not {sorted(kinds)}")
        some = sample.slice(0, SAMPLE_ROWS)
        return cls(clip, t5, vae, clip.load(some), t5.load(some), vae.load(some))

    @property
    def agreements(self) -> tuple[Agreement, ...]:
        """How far each path lies from float32 on the sample."""
        return (*self.clip.agreements, *self.t5.agreements, *self.vae.agreements)


Work = Callable[[Unit, "torch.Tensor | None"], Iterator[Pending]]


class Bare:
    """The bare loop over a data set; `peak_tflops` is the device's measured matmul peak."""

    def __init__(
        self, data: BenchSet, encoders: Encoders, device: torch.device, *, peak_tflops: float
    ) -> None:
        self.data, self.encoders, self.device = data, encoders, device
        self.lane: Lane = lane(device)
        self.peak_tflops = peak_tflops
        self.px = data.spec.px
        self.units = [self._unit(number) for number in range(UNITS)]

    def rates(self, seconds: float, say: Say, *, begun: float) -> BareRates:
        """Every rate; `seconds` for the whole, for T5 and for the VAE. `begun` is when loading did."""
        for pending in self._enqueue(self._all, self.units[0], self._sent(self.units[0])):
            pending.wait()
        warmup = time.perf_counter() - begun
        say(f"bare: models loaded, checked and compiled in {warmup:.1f} s")
        short = seconds / SHORT
        found: dict[str, Rate] = {}
        for name, work, span in (
            ("clip_images", self._clip_images, short), ("clip_texts", self._clip_texts, short),
            ("clip", self._clip, short), ("t5", self._t5, seconds), ("vae", self._vae, seconds),
            ("all", self._all, seconds),
        ):  # fmt: skip
            found[name] = self._rate(work, span, name, pixels=name not in ("clip_texts", "t5"))
            say(f"bare: {name} {_told(found[name])}")
        found["decode"] = self._decode_rate(short)
        say(f"bare: decode alone {_told(found['decode'])}")
        found["all_decoded"] = self._decoded_rate(4 * short)
        say(f"bare: all from JPEGs {_told(found['all_decoded'])}")
        return BareRates(**found, warmup_seconds=warmup, peak_memory_gib=self._peak_memory())

    # --- one unit ---------------------------------------------------------------------------------
    def _unit(self, number: int) -> Unit:
        """Rows of the data set, decoded and tokenised."""
        rows = max(1, min(UNIT_ROWS, UNIT_BYTES // (3 * self.px**2), self.data.spec.rows // UNITS))
        rows = rows // 64 * 64 or rows
        table = _rows(self.data, number * rows, rows)
        texts = [row[0]["text"] for row in table[c.CAPTIONS.name].to_pylist()]
        known = self._known_tokens()
        return Unit(
            pixels=self._pinned(table), table=table, clip_ids=self.encoders.clip.tokens(texts),
            t5_ids=self.encoders.t5.tokens(texts),
            tokens=np.asarray([known[text] for text in texts], np.int64),
        )  # fmt: skip

    def _known_tokens(self) -> dict[str, int]:
        rows = self.data.rows()
        return dict(zip(rows["caption"].to_pylist(), rows["tokens"].to_pylist(), strict=True))

    def _pinned(self, table: pa.Table) -> torch.Tensor:
        pixels = self._decoded(table).cpu()
        return pixels.pin_memory() if self.device.type == "cuda" else pixels

    def _decoded(self, table: pa.Table) -> torch.Tensor:
        """A table's pictures on the device, uint8 [n, px, px, 3]; raises EngineError if one is broken."""
        import torch

        from curate.stages.pixels import batches

        parts, rows = [], []
        for batch in batches(table, self.encoders.vae_stage.batch, self.device):
            rows += batch.rows
            parts.append(batch.pixels)
        if sorted(rows) != list(range(len(table))):
            raise EngineError(f"{len(table) - len(rows)} pictures of the bench cannot be read")
        whole = torch.cat(parts)
        if self.device.type == "cuda":  # the lane's stream is another one
            torch.cuda.current_stream(self.device).synchronize()
        return whole

    def _sent(self, unit: Unit) -> torch.Tensor:
        return self.lane.send(unit.pixels)

    # --- what is enqueued a unit ------------------------------------------------------------------
    def _clip_images(self, unit: Unit, pixels: torch.Tensor | None) -> Iterator[Pending]:
        for part in _given(pixels).split(self.encoders.clip_stage.batch_size):
            yield self.lane.fetch(self.encoders.clip.images(part).half())

    def _clip_texts(self, unit: Unit, pixels: torch.Tensor | None) -> Iterator[Pending]:
        yield self.lane.fetch(self.encoders.clip.texts(unit.clip_ids).half())

    def _clip(self, unit: Unit, pixels: torch.Tensor | None) -> Iterator[Pending]:
        yield from self._clip_images(unit, pixels)
        yield from self._clip_texts(unit, pixels)

    def _t5(self, unit: Unit, pixels: torch.Tensor | None) -> Iterator[Pending]:
        yield self.lane.fetch(self.encoders.t5.states(unit.t5_ids))

    def _vae(self, unit: Unit, pixels: torch.Tensor | None) -> Iterator[Pending]:
        for part in _given(pixels).split(self.encoders.vae_stage.batch(self.px, self.px)):
            yield self.lane.fetch(self.encoders.vae.moments(part).half())

    def _all(self, unit: Unit, pixels: torch.Tensor | None) -> Iterator[Pending]:
        for work in (self._clip, self._vae, self._t5):
            yield from work(unit, pixels)

    # --- loops ------------------------------------------------------------------------------------
    def _enqueue(self, work: Work, unit: Unit, pixels: torch.Tensor | None) -> list[Pending]:
        with self.lane.turn():
            if pixels is not None:
                self.lane.keep(pixels)
            return list(work(unit, pixels))

    def _rate(self, work: Work, seconds: float, name: str, *, pixels: bool) -> Rate:
        """The rate of some encoders from pixels that are sent while the unit before computes."""
        held = [self._sent(self.units[0])] if pixels else [None]

        def step(number: int) -> list[Pending]:
            now = held.pop()
            pending = self._enqueue(work, self.units[number % UNITS], now)
            held.append(self._sent(self.units[(number + 1) % UNITS]) if pixels else None)
            return pending

        units, took = steady(step, seconds)
        return self._told(name, units, took)

    def _decoded_rate(self, seconds: float) -> Rate:
        """The rate of the whole from JPEG bytes, decoded by a thread while the unit before computes."""
        with ThreadPoolExecutor(1) as thread:
            held: list[Future[torch.Tensor]] = [thread.submit(self._decoded, self.units[0].table)]

            def step(number: int) -> list[Pending]:
                now = held.pop().result()
                held.append(thread.submit(self._decoded, self.units[(number + 1) % UNITS].table))
                return self._enqueue(self._all, self.units[number % UNITS], now)

            units, took = steady(step, seconds)
        return self._told("all", units, took)

    def _decode_rate(self, seconds: float) -> Rate:
        """The rate of decoding, cropping and resizing alone, all batches one after the other."""

        def step(number: int) -> list[Pending]:
            self._decoded(self.units[number % UNITS].table)
            return []

        units, took = steady(step, seconds)
        return self._told("", units, took)

    # --- figures ----------------------------------------------------------------------------------
    def _told(self, name: str, units: int, seconds: float) -> Rate:
        samples = sum(len(self.units[number % UNITS]) for number in range(units))
        each = self._tflop(name)
        per_second = samples / seconds
        speed = each * per_second if each is not None else None
        return Rate(
            per_second=per_second, seconds=seconds, samples=samples, tflop=each,
            tflop_per_second=speed, peak_share=speed / self.peak_tflops if speed else None,
        )  # fmt: skip

    def _tflop(self, name: str) -> float | None:
        """10¹² operations of one row, mean over all units; None where they cannot be counted."""
        parts = {
            "clip_images": ("image",), "clip_texts": ("text",), "clip": ("image", "text"),
            "t5": ("t5",), "vae": ("vae",), "all": ("image", "text", "t5", "vae"),
        }.get(name, ())  # fmt: skip
        counted = [self._counted(part) for part in parts]
        known = [flops for flops in counted if flops is not None]
        return sum(known) / 1e12 if known and len(known) == len(counted) else None

    def _counted(self, part: str) -> float | None:
        stages = self.encoders
        if part == "vae":
            return vae_flops(_path(stages.vae_stage), self.px, self.px)
        if part == "image":
            return clip_image_flops(_path(stages.clip_stage))
        rows = sum(len(unit) for unit in self.units)
        if part == "t5":
            tokens = np.concatenate([unit.tokens for unit in self.units])
            return t5_flops(_path(stages.t5_stage), tokens) / rows
        lengths = np.concatenate([(unit.clip_ids != 0).sum(1).numpy() for unit in self.units])
        whole = clip_text_flops(_path(stages.clip_stage), lengths)
        return None if whole is None else whole / rows

    def _peak_memory(self) -> float | None:
        import torch

        if self.device.type != "cuda":
            return None
        return round(torch.cuda.max_memory_allocated(self.device) / 2**30, 2)


def steady(step: Callable[[int], list[Pending]], seconds: float) -> tuple[int, float]:
    """Steps and seconds of a loop of at least `seconds`, begun and ended with nothing under way.

    Two steps that are not counted come first.
    """
    waiting: deque[list[Pending]] = deque()

    def settle(left: int) -> None:
        while len(waiting) > left:
            for pending in waiting.popleft():
                pending.wait()

    for number in range(2):
        waiting.append(step(number))
    settle(0)
    done, begun = 0, time.perf_counter()
    while done < 2 or time.perf_counter() - begun < seconds:
        waiting.append(step(2 + done))
        done += 1
        settle(AHEAD)
    settle(0)
    return done, time.perf_counter() - begun


def _rows(data: BenchSet, start: int, count: int) -> pa.Table:
    """Rows of the committed images layer in shard order."""
    names = [c.KEY.name, c.CAPTIONS.name, c.IMAGE.name, c.CROP_BOX.name, c.BUCKET_WIDTH.name,
             c.BUCKET_HEIGHT.name]  # fmt: skip
    parts: list[pa.Table] = []
    seen = number = 0
    while seen < start + count:
        part = data.shard(number, names)
        first, last = max(start - seen, 0), min(start + count - seen, len(part))
        parts += [part.slice(first, last - first)] if last > first else []
        seen, number = seen + len(part), number + 1
    return pa.concat_tables(parts).combine_chunks()


def _given(pixels: torch.Tensor | None) -> torch.Tensor:
    if pixels is None:
        raise EngineError("this encoder wants pixels")
    return pixels


def _path(stage: Encoder) -> Path:
    part: Part = stage.part
    return resolve(stage.model, part)


def _told(rate: Rate) -> str:
    told = f"{rate.per_second:,.1f}/s over {rate.seconds:.1f} s"
    if rate.tflop_per_second is None or rate.peak_share is None:
        return told
    return f"{told}, {rate.tflop_per_second:,.4g} TFLOP/s, {rate.peak_share:.0%} of the matmul peak"
