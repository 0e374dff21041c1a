"""Peak memory of a process tree: summed proportional set size plus shared memory files."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType

import psutil


class PeakMemory:
    """Samples the tree of this process in the background; `peak_bytes` is the highest sum seen.

    PSS counts a page shared by n processes as 1/n in each. What has grown in /dev/shm is added
    by allocated blocks; pages of it that a process maps are then in both, so this is an upper bound.
    """

    def __init__(self, *, interval_seconds: float = 2.0) -> None:
        self.interval_seconds = interval_seconds
        self.peak_bytes = 0
        self._stop = threading.Event()
        self._before = _shared_bytes()
        self._thread = threading.Thread(target=self._sample, daemon=True, name="peak-memory")

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.is_set():
            shared = max(0, _shared_bytes() - self._before)
            self.peak_bytes = max(self.peak_bytes, tree_pss() + shared)
            self._stop.wait(self.interval_seconds)


def tree_pss() -> int:
    """Summed PSS in bytes of this process and its descendants; 0 where /proc has no PSS."""
    total = 0
    processes = [os.getpid(), *(p.pid for p in psutil.Process().children(recursive=True))]
    for pid in processes:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return total


def _shared_bytes() -> int:
    try:
        return sum(entry.stat().st_blocks * 512 for entry in os.scandir("/dev/shm"))
    except OSError:
        return 0
