"""What had to be reached on one H200, beside what was measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from curate.bench.result import BenchResult, PipelineRun

Figure = Callable[[BenchResult], float | None]


@dataclass(frozen=True)
class Goal:
    """One line: `at_least` (or at most, for what should be small) and what is reached for."""

    what: str
    px: int | None
    figure: Figure
    bound: float
    reach_for: float | None = None
    small: bool = False

    def met(self, value: float) -> bool:
        return value <= self.bound if self.small else value >= self.bound


def _one(result: BenchResult) -> PipelineRun | None:
    one = result.one_worker
    return one if one is not None and one.workers == 1 else None


def _pipeline(result: BenchResult) -> float | None:
    one = _one(result)
    return one.per_second if one else None


def _bare(name: str) -> Figure:
    return lambda result: getattr(result.bare, name).per_second if result.bare else None


def _stored(name: str, scale: float) -> Figure:
    return lambda result: getattr(result.storage, name) * scale if result.storage else None


GOALS: Final = (
    Goal("all three, 256 px, bare loop, rows/s", 256, _bare("all"), 690, 950),
    Goal("all three, 256 px, through Ray Data, rows/s", 256, _pipeline, 660, 900),
    Goal("the same over the bare loop", 256, lambda result: result.pipeline_to_bare, 0.95),
    Goal("all three, 512 px, through Ray Data, rows/s", 512, _pipeline, 265, 350),
    Goal("T5 alone, captions/s", 256, _bare("t5"), 3900, 4500),
    Goal("VAE alone, 256 px, pictures/s", 256, _bare("vae"), 1630, 1900),
    Goal("VAE alone, 512 px, pictures/s", 512, _bare("vae"), 371, 440),
    Goal("against AT1's way, times", 256, lambda result: result.pipeline_to_at1, 40, 55),
    Goal("two GPUs, times one", None, lambda result: result.scaling.get("2"), 1.9),
    Goal("four GPUs, times one", None, lambda result: result.scaling.get("4"), 3.8),
    Goal("T5 at 15 tokens, bfloat16, MB a caption", None, _stored("t5_bytes_at_15_tokens", 1e-6),
         0.125, small=True),
    Goal("T5 at 15 tokens, 8 bits, MB a caption", None,
         _stored("t5_int8_bytes_at_15_tokens", 1e-6), 0.065, small=True),
    Goal("8-bit form, relative error", None, _stored("t5_int8_error", 1.0), 0.02, small=True),
)  # fmt: skip


def goals(results: Mapping[str, BenchResult]) -> list[str]:
    """The table: newest GPU run over alt texts that has the figure; `not run` where there is none."""
    from benchmarks.figures import number, table

    rows = []
    for goal in GOALS:
        found = measured(goal, results)
        bound = f"{'≤' if goal.small else '≥'} {number(goal.bound)}"
        reach = number(goal.reach_for) if goal.reach_for is not None else ""
        if found is None:
            rows.append([goal.what, bound, reach, "not run", "", ""])
            continue
        name, value = found
        rows.append(
            [
                goal.what,
                bound,
                reach,
                number(value),
                "yes" if goal.met(value) else "no",
                f"`{name}`",
            ]
        )
    return table(["one H200", "goal", "reach for", "measured", "reached", "run"], rows)


def measured(goal: Goal, results: Mapping[str, BenchResult]) -> tuple[str, float] | None:
    """Name and figure of the newest run that has it."""
    found = [
        (result.date, name, value)
        for name, result in results.items()
        if result.device.kind == "cuda"
        and result.data.captions == "alt"
        and goal.px in (None, result.px)
        and (value := goal.figure(result)) is not None
    ]
    return max(found)[1:] if found else None
