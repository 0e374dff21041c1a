"""What every measurement carries and how it is taken: machine, versions, commit, medians, JSON.

No host name and no path is written: results travel with the repository.
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil

RESULTS: Final = Path(__file__).parent / "results"
_ROOT: Final = Path(__file__).parents[1]


def machine() -> dict[str, Any]:
    """The machine in words: cores, memory in GiB, processor, system; the GPU is the caller's."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_1min": round(psutil.getloadavg()[0], 1),
    }


def _processor() -> str:
    """The model's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python and of installed packages; `not installed` where there is none."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def commit() -> str:
    """The checked-out commit, with `-dirty` if `curate` differs from it; `unknown` outside git."""
    try:
        found = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", "curate", "benchmarks/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def interleaved(
    contestants: Mapping[str, Callable[[], object]], *, runs: int = 5
) -> dict[str, list[float]]:
    """Seconds of each contestant, run in turns so that a neighbour's noise meets them all.

    One unmeasured turn comes first: imports, caches and thread pools are nobody's to pay.
    """
    for work in contestants.values():
        work()
    taken: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(runs):
        for name, work in contestants.items():
            taken[name].append(seconds(work))
    return taken


def summary(taken: Sequence[float]) -> dict[str, float]:
    """Median, fastest and slowest of some seconds."""
    return {
        "median_seconds": round(statistics.median(taken), 6),
        "fastest_seconds": round(min(taken), 6),
        "slowest_seconds": round(max(taken), 6),
        "runs": len(taken),
    }


def store(name: str, figures: Mapping[str, Any], *, packages: Sequence[str] = ()) -> Path:
    """Write `results/<name>.json`: the figures and all that is needed to read them."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    whole = {
        "benchmark": name,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "versions": versions(*packages),
        **figures,
    }
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
