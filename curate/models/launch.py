"""One GPU shared by the threads of one worker: who enqueues, and how results come back.

Threads take turns to enqueue; what is enqueued runs in order on one compute stream, so the GPU
goes from one shard to the next without a gap. Results are copied to pinned memory on a stream of
their own while the next batch computes. On a CPU the same calls just run.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Pending:
    """A result on its way to the host; `wait` gives the CPU tensor (pinned, where it came from a GPU).

    Waiting lets other threads run.
    """

    host: torch.Tensor
    done: Any = None

    def wait(self) -> torch.Tensor:
        if self.done is not None:
            self.done.synchronize()
        return self.host


class Lane:
    """The order of work on one device of this process; get it with `lane`."""

    def __init__(self, device: torch.device) -> None:
        import torch

        self.device = device
        self._turn = threading.RLock()
        self._spans: deque[tuple[Any, Any]] = deque()
        self._busy_milliseconds = 0.0
        self._cuda = device.type == "cuda"
        if self._cuda:
            self._compute = torch.cuda.Stream(device)
            self._copies = torch.cuda.Stream(device)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Enqueue work on the compute stream while no other thread does.

        The work starts after all that this thread enqueued before. What it reads must stay alive
        until then: give tensors made on another stream to `keep`.
        """
        import torch

        if not self._cuda:
            with self._turn, torch.inference_mode():
                yield
            return
        before = torch.cuda.current_stream(self.device)
        with self._turn, torch.cuda.stream(self._compute), torch.inference_mode():
            self._compute.wait_stream(before)
            begun, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begun.record()
            try:
                yield
            finally:
                ended.record()
                self._spans.append((begun, ended))
                self._settle()

    def keep(self, tensor: torch.Tensor) -> torch.Tensor:
        """Tell the allocator that the compute stream reads a tensor made on another stream."""
        if self._cuda:
            tensor.record_stream(self._compute)
        return tensor

    def send(self, tensor: torch.Tensor) -> torch.Tensor:
        """A CPU tensor on the device, copied without waiting (through pinned memory)."""
        if not self._cuda:
            return tensor
        pinned = tensor if tensor.is_pinned() else tensor.pin_memory()
        return pinned.to(self.device, non_blocking=True)

    def fetch(self, tensor: torch.Tensor) -> Pending:
        """Start to copy a result to the host; call it inside a turn, wait outside of it."""
        import torch

        if not self._cuda:
            return Pending(tensor)
        host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._copies.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._copies):
            host.copy_(tensor, non_blocking=True)
            tensor.record_stream(self._copies)
            done = torch.cuda.Event(blocking=True)
            done.record()
        return Pending(host, done)

    def busy_seconds(self) -> float:
        """Device time between begin and end of all turns so far that have finished; 0 on a CPU."""
        with self._turn:
            self._settle()
            return self._busy_milliseconds / 1e3

    def _settle(self) -> None:
        while self._spans and self._spans[0][1].query():
            begun, ended = self._spans.popleft()
            self._busy_milliseconds += begun.elapsed_time(ended)


@lru_cache(maxsize=16)
def _lane(kind: str, index: int) -> Lane:
    import torch

    return Lane(torch.device(kind, index) if kind == "cuda" else torch.device(kind))


def lane(device: torch.device) -> Lane:
    """The lane of a device: one for all encoders of this process."""
    import torch

    index = device.index
    if device.type == "cuda" and index is None:
        index = torch.cuda.current_device()
    return _lane(device.type, index or 0)


@dataclass
class Batches:
    """Work in batches that halve when a CUDA device runs out of memory.

    `size` is the batch in force, `planned` the first one; `lost` are rows that do not fit alone.
    """

    planned: int
    size: int = 0
    lost: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = self.size or self.planned

    @property
    def halved(self) -> int | None:
        """The batch that memory allowed where it is not the planned one, else None."""
        return self.size if self.size < self.planned else None

    def run(
        self, rows: Sequence[int], work: Callable[[Sequence[int]], Result]
    ) -> Iterator[tuple[Sequence[int], Result]]:
        """(rows, result) batch by batch, in order; rows that fail alone are left out."""
        import torch

        start = 0
        while start < len(rows):
            some = rows[start : start + self.size]
            try:
                result = work(some)
            except torch.OutOfMemoryError:
                fitted = False
            else:
                fitted = True
                yield some, result
                start += len(some)
            if not fitted:  # by now the error, which holds the failed tensors, is gone
                if len(some) == 1:
                    self.lost.append(some[0])
                    start += 1
                self.size = max(1, min(self.size, len(some)) // 2)
                _release()


def _release() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
