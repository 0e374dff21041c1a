"""One phase of a bench in a process of its own: `python -m curate.bench.phases NAME SETTINGS OUT`.

When it ends its memory is free, on the device too, so no phase works in what another left over.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from curate.bench import at1, roof
from curate.bench.bare import Bare, Encoders
from curate.bench.data import BenchSet, make_data
from curate.bench.machine import device_facts
from curate.bench.models import write_models
from curate.bench.pipeline import feature_stages, measure
from curate.bench.result import ModelFacts
from curate.bench.settings import Settings
from curate.errors import CurateError
from curate.models import Part
from curate.models.device import pick
from curate.recipe import Recipe
from curate.stages.encoders import one_thread

Found = dict[str, Any]
RUN: Final = "run"
AT1_CAPTIONS: Final = 4096


class Sayer:
    """Prints lines with the seconds since the bench began."""

    def __init__(self, started: float) -> None:
        self._started = started

    def __call__(self, text: str) -> None:
        print(f"[{time.time() - self._started:6.1f} s] {text}", flush=True)


def models(settings: Settings, say: Sayer) -> Found:
    """Write the encoders that are not named; references, facts and the device."""
    device = device_facts(settings.device)
    refs: dict[Part, str] = dict(settings.models)
    folder, sizes = settings.folder / "models", settings.sizes
    for part, path, made in write_models(folder, sizes, settings.made, device=device.kind):
        refs[part] = str(path)
        say(f"models: {path.name} {'written' if made else 'found'}")
    facts = {
        part: ModelFacts.of(ref, part, random=part in settings.made).model_dump()
        for part, ref in refs.items()
    }
    return {"refs": refs, "facts": facts, "device": device.model_dump()}


def data(settings: Settings, say: Sayer) -> Found:
    """Make the data set."""
    return {"data": _data(settings, say).facts.model_dump()}


def bare(settings: Settings, say: Sayer) -> Found:
    """The device's ceilings, then the bare loop; on the CPU one thread, as a worker has."""
    one_thread()
    ceilings = roof.measure(settings.device)
    say(f"roof: {ceilings.matmul_tflops:,.4g} TFLOP/s in matrix products of {ceilings.dtype}")
    _release()
    begun, bench_set = time.perf_counter(), _data(settings, say)
    loaded = Encoders.load(_recipe(settings, bench_set).passes[1].stages, bench_set.shard(0))
    for agreement in loaded.agreements:
        say(f"bare: {agreement.sentence()}")
    loop = Bare(bench_set, loaded, pick(settings.device), peak_tflops=ceilings.matmul_tflops)
    rates = loop.rates(settings.seconds, say, begun=begun)
    told = [agreement.model_dump() for agreement in loaded.agreements]
    return {"roof": ceilings.figures(), "bare": rates.model_dump(), "agreements": told}


def at1_way(settings: Settings, say: Sayer) -> Found:
    """AT1's way, a third of the time for each of its three stages."""
    bench_set = _data(settings, say)
    texts = bench_set.rows()["caption"].slice(0, AT1_CAPTIONS).to_pylist()
    refs: dict[str, str | Path] = {part: ref for part, ref in settings.models.items()}  # noqa: C416
    rates = at1.measure(
        refs, bench_set.bodies(), texts, settings.px, settings.seconds / 3, settings.device
    )
    say(
        f"at1: T5 {rates.t5_per_second:,.1f}/s, VAE {rates.vae_per_second:,.1f}/s, both in turn "
        f"{rates.both_per_second:,.1f}/s"
    )
    return {"at1": rates.figures(), "at1_notes": rates.notes}


def pipeline(settings: Settings, say: Sayer) -> Found:
    """The pipeline with each number of workers."""
    bench_set = _data(settings, say)
    recipe, gpu = _recipe(settings, bench_set), pick(settings.device).type == "cuda"
    runs, stored = [], {}
    for workers in settings.workers:
        ran, found = measure(
            bench_set, recipe, settings.folder / RUN, workers=workers, gpu=gpu,
            inline=settings.inline, say=say,
        )  # fmt: skip
        say(
            f"pipeline: workers {workers}, {ran.per_second:,.1f}/s over {ran.seconds:.1f} s, start-up "
            f"{ran.startup_seconds:.1f} s, {ran.total_seconds:.1f} s in all"
        )
        runs.append(ran.model_dump())
        stored = found.model_dump()
    return {"pipeline": runs, "storage": stored}


def _release() -> None:
    """Give the device's memory back, and begin to count its peak anew."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _data(settings: Settings, say: Sayer) -> BenchSet:
    settings.folder.mkdir(parents=True, exist_ok=True)
    return make_data(settings.folder, settings.spec, say)


def _recipe(settings: Settings, bench_set: BenchSet) -> Recipe:
    """The recipe with the encoders; `settings.models` names all three by now."""
    return bench_set.with_features(feature_stages(settings.models, made=settings.random))


PHASES: Final[Mapping[str, Callable[[Settings, Sayer], Found]]] = {
    "models": models, "data": data, "bare": bare, "at1": at1_way, "pipeline": pipeline,
}  # fmt: skip


def main() -> None:
    """Run one phase and write what it found; an error of the project ends in one line."""
    name, given, out = sys.argv[1:4]
    settings = Settings.model_validate_json(Path(given).read_bytes())
    try:
        found = PHASES[name](settings, Sayer(settings.started))
    except CurateError as error:
        print(f"error: {name}: {error}", file=sys.stderr, flush=True)
        raise SystemExit(error.exit_code) from error
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
