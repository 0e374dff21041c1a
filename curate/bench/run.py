"""`curate bench` as a whole: phase after phase, each in its own process, into one result."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from curate.bench.machine import commit, versions
from curate.bench.models import REAL
from curate.bench.result import BenchResult, Captions, Phase
from curate.bench.settings import Settings
from curate.errors import EngineError
from curate.models import Part
from curate.store.digest import json_digest

MEASURED: Final[tuple[Phase, ...]] = ("bare", "at1", "pipeline")
MODEL_BYTES: Final[Mapping[Part, float]] = {"clip": 1.8e9, "t5": 9.6e9, "vae": 0.4e9}
FEATURE_BYTES: Final[Mapping[Captions, float]] = {"alt": 130e3, "llava": 750e3}
_PACKAGE_ROOT: Final = Path(__file__).parents[2]


class Kept(BaseModel, frozen=True, extra="forbid"):
    """What a phase found, for later calls that skip it."""

    date: str
    commit: str
    found: dict[str, Any]


def bench(settings: Settings) -> Iterator[BenchResult]:
    """Make models and data, then measure; yields what is known so far after each phase.

    A phase that is skipped is taken from an earlier call. Raises EngineError if there is too little
    room, or if a phase ends in an error; what it said stands above.
    """
    settings.folder.mkdir(parents=True, exist_ok=True)
    _require_room(settings)
    seconds: dict[str, float] = {}
    made = _phases(["models", "data"], settings, seconds)
    facts, device = made["models"]["facts"], made["models"]["device"]
    refs, random = made["models"]["refs"], settings.made
    settings = settings.model_copy(update={"models": refs, "random": random})
    subject = _subject(settings, facts, device)
    found: dict[str, Any] = {}
    reused: dict[str, str] = {}
    for phase in MEASURED:
        file = settings.folder / "found" / f"{phase}-{subject}.json"
        if phase not in settings.skip:
            told = _phases([phase], settings, seconds)[phase]
            _keep(file, told)
        elif file.is_file():
            kept = Kept.model_validate_json(file.read_bytes())
            told = kept.found
            reused[phase] = f"{kept.date}, {kept.commit}"
        else:
            told = {}
        found |= told
        yield BenchResult(
            date=_now(), commit=commit(), versions=versions(), px=settings.px, models=facts,
            device=device, data=made["data"]["data"], seconds=dict(seconds), reused=dict(reused),
            **found,
        )  # fmt: skip


def _require_room(settings: Settings) -> None:
    """Refuse what the disk cannot hold: models, pictures, and the features of one run."""
    models = sum(MODEL_BYTES[part] for part in settings.made) if settings.sizes == REAL else 0
    row = settings.spec.picture_pixels / 4 + FEATURE_BYTES[settings.captions] + settings.px**2 / 4
    wanted = models + settings.rows * row
    there = sum(f.stat().st_size for f in settings.folder.rglob("*") if f.is_file())
    free = shutil.disk_usage(settings.folder).free + there
    if free < wanted:
        raise EngineError(
            f"the bench needs about {wanted / 1e9:,.0f} GB in {settings.folder}, which has "
            f"{free / 1e9:,.0f} GB: give another folder with --to, or fewer --rows"
        )


def _subject(settings: Settings, facts: dict[str, Any], device: dict[str, Any]) -> str:
    """What phases must have in common to stand in one result."""
    models = {part: told["digest"] for part, told in facts.items()}
    return json_digest([settings.spec.digest(), models, device["name"]])[:16]


def _keep(file: Path, found: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    kept = Kept(date=_now(), commit=commit(), found=found)
    file.write_text(kept.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _phases(
    names: Sequence[str], settings: Settings, seconds: dict[str, float]
) -> dict[str, dict[str, Any]]:
    """Run phases at once, each in a process; what each found, and its wall time in `seconds`."""
    with tempfile.TemporaryDirectory(prefix="curate-bench-") as folder:
        given = Path(folder) / "settings.json"
        given.write_text(settings.model_dump_json(), encoding="utf-8")
        outs = {name: Path(folder) / f"{name}.json" for name in names}
        running: dict[str, subprocess.Popen[bytes]] = {}
        begun = time.perf_counter()
        try:
            for name, out in outs.items():
                command = [sys.executable, "-m", "curate.bench.phases", name, str(given), str(out)]
                running[name] = subprocess.Popen(command, env=_environment())
            _wait(running, seconds, begun)
        finally:
            for process in running.values():
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        return {name: json.loads(out.read_text(encoding="utf-8")) for name, out in outs.items()}


def _wait(
    running: dict[str, subprocess.Popen[bytes]], seconds: dict[str, float], begun: float
) -> None:
    """Until all have ended well; raises EngineError when the first does not."""
    left = dict(running)
    while left:
        for name, process in list(left.items()):
            code = process.poll()
            if code is None:
                continue
            if code:
                raise EngineError(
                    f"the bench's phase {name} ended with exit code {code}; its own lines above say why"
                )
            seconds[name] = round(time.perf_counter() - begun, 2)
            del left[name]
        time.sleep(0.05)


def _environment() -> dict[str, str]:
    """This process's, with the package found wherever it lies and no way to the network."""
    path = os.pathsep.join(filter(None, [str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1", "RAY_USAGE_STATS_ENABLED": "0",
        "NO_ALBUMENTATIONS_UPDATE": "1",
    }  # fmt: skip


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
