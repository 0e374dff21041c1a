"""`curate bench`, kept with the repository: bare loop, pipeline and AT1's way on one machine.

    python -m benchmarks.precompute [--px 256] [--gpus 1] [--seconds 60] [--to DIR] [--skip at1]
    python -m benchmarks.precompute --from FILE.json [--commit HASH]

The second form keeps a result that `curate bench --out` wrote elsewhere; `--commit` says which
commit that machine ran if it had no git to tell.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.machine import store
from curate import bench_command
from curate.bench.result import BenchResult
from curate.forecast.bench import read_bench


def main() -> None:
    """Measure, or read what was measured, and store."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE.json")
    parser.add_argument("--commit")
    parser.add_argument("--px", type=int)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--gpus", type=int)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--captions", default="alt")
    parser.add_argument("--skip")
    given = parser.parse_args()
    result = read_bench(given.source) if given.source else _measured(given)
    if given.commit:
        result = result.model_copy(update={"commit": given.commit})
    print(store(name_of(result), figures(result)))


def _measured(given: argparse.Namespace) -> BenchResult:
    """What `curate bench` measures here."""
    return bench_command.run(
        skip=given.skip, named={}, out=None, console=Console(width=160), folder=given.to,
        px=given.px, rows=given.rows, seconds=given.seconds, gpus=given.gpus,
        captions=given.captions, inline=False,
    )  # fmt: skip


def name_of(result: BenchResult) -> str:
    """`precompute_256`, with what is out of the ordinary behind it."""
    workers = max((run.workers for run in result.pipeline), default=1)
    more = [] if result.data.captions == "alt" else [result.data.captions]
    more += [f"{workers}gpus"] if workers > 1 else []
    return "_".join(["precompute", str(result.px), *more])


def figures(result: BenchResult) -> dict[str, Any]:
    """The result; the machine that it names stands in place of the one that writes the file."""
    device = result.device
    told = result.model_dump(mode="json")
    machine = {
        "cores": device.cores, "memory_gib": device.host_memory_gib, "device": device.name,
        "driver": device.driver, "cuda": device.cuda,
    }  # fmt: skip
    return {**told, "machine": machine}


if __name__ == "__main__":
    main()
