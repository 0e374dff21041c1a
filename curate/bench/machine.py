"""The machine in facts: device, driver, versions, commit. No host name and no path."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import psutil

from curate.bench.result import Device

PACKAGES: Final = (
    "curate-t2i", "torch", "torchvision", "triton", "transformers", "tokenizers", "diffusers",
    "open_clip_torch", "ray", "pyarrow", "numpy", "pillow",
)  # fmt: skip
_ROOT: Final = Path(__file__).parents[2]


def device_facts(device: str) -> Device:
    """What `auto`, `cpu` or a CUDA device is; a CUDA device is opened for it."""
    import torch

    from curate.models.device import pick

    target = pick(device)
    host = {
        "cores": psutil.cpu_count() or 1,
        "host_memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }
    if target.type != "cuda":
        return Device(kind="cpu", name=_processor(), count=1, **host)
    told = torch.cuda.get_device_properties(target)
    return Device(
        kind="cuda", name=told.name, count=torch.cuda.device_count(), driver=_driver(),
        memory_gib=round(told.total_memory / 2**30, 1), cuda=torch.version.cuda, **host,
    )  # fmt: skip


def has_gpu() -> bool:
    """True if torch finds a CUDA device; none is opened for it."""
    import torch

    return bool(torch.cuda.is_available())


def _driver() -> str | None:
    """The driver's version as nvidia-smi tells it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return next(iter(told.stdout.split()), None)


def _processor() -> str:
    """The processor's name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that are there."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The checked-out commit, with `-dirty` if the package differs from it; `unknown` outside git."""
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--", "curate")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return head + ("-dirty" if changed else "")


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(_ROOT), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()
