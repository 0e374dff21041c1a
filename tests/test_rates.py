"""How fast a pass went: what counts as steady, start-up apart, how busy the GPUs were."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from curate.progress import ConsoleWatch, rate_line
from curate.rates import Note, Stamp, pass_rate, steady_rate


def stamps(*times: float, worker: str = "a", rows: int = 10) -> list[Stamp]:
    return [Stamp(worker, at, rows) for at in times]


def test_start_up_is_left_out() -> None:
    found = steady_rate(stamps(100, 101, 102, 103))
    assert found == (10.0, 3)


def test_with_several_shards_in_hand_what_was_begun_before_and_what_runs_dry_is_left_out() -> None:
    """Three shards wait for the models and come at once; the last three end without followers."""
    times = [50, 50.1, 50.2, *(51.2 + n for n in range(6)), 57.0, 57.5]
    found = steady_rate(stamps(*times), shards_in_flight=3)
    assert found is not None
    assert found.rows_per_second == pytest.approx(10)
    assert found.seconds == pytest.approx(6)
    assert steady_rate(stamps(*times)).rows_per_second > 13  # type: ignore[union-attr]


def test_workers_count_while_all_of_them_work() -> None:
    early = stamps(*range(10, 31), worker="a")
    late = stamps(*(20.5 + n for n in range(15)), worker="b")
    found = steady_rate([*late, *early])
    assert found is not None
    assert found.rows_per_second == pytest.approx(20, rel=0.06)
    assert found.seconds == pytest.approx(9.5)


def test_short_runs_have_what_rate_they_have() -> None:
    assert steady_rate([]) is None
    assert steady_rate(stamps(5)) is None
    assert steady_rate([*stamps(5), *stamps(7, worker="b")]) is None
    assert steady_rate(stamps(5, 7), shards_in_flight=3) == (5.0, 2)
    assert steady_rate([*stamps(5, 8), *stamps(6, worker="b")], shards_in_flight=3) == (5.0, 2)
    assert steady_rate(stamps(5, 5)) is None


@given(st.integers(1, 4), st.integers(1, 5), st.integers(10, 40))
def test_a_pool_at_an_even_pace_has_its_pace(workers: int, depth: int, shards: int) -> None:
    told = [
        Stamp(f"{worker}", 100 + worker / workers + shard, 7)
        for worker in range(workers)
        for shard in range(shards)
    ]
    found = steady_rate(told, shards_in_flight=depth)
    assert found is not None
    assert found.rows_per_second == pytest.approx(7 * workers, rel=0.35 if shards < 20 else 0.15)
    assert workers > 1 or found.rows_per_second == pytest.approx(7)


def note(at: float, busy: float | None = None, **changes: Any) -> Note:
    told = {"worker": "a", "at": at, "rows": 1000, "shards_in_flight": 3, "startup_seconds": 30.0,
            "busy_seconds": busy, "gpus": 0.0 if busy is None else 1.0,
            "device": None if busy is None else "NVIDIA H200"}  # fmt: skip
    return Note.model_validate(told | changes)


def test_how_busy_a_gpu_was_is_measured_between_commits() -> None:
    """Seconds of before (the check of the models) do not count; two GPUs are averaged."""
    one = [note(100 + n, 500 + 0.9 * n) for n in range(11)]
    two = [note(100 + n, 7 + 0.7 * n, worker="b", startup_seconds=40) for n in range(11)]
    rate = pass_rate([*one, *two], seconds=120)
    assert rate.gpu_busy == pytest.approx(0.8)
    assert (rate.gpus, rate.workers, rate.device) == (2, 2, "NVIDIA H200")
    assert (rate.rows, rate.seconds_total, rate.startup_seconds) == (22_000, 120, 40)
    assert rate.steady_rows_per_second == pytest.approx(2000, rel=0.2)
    shared = [note(n.at, n.busy_seconds and n.busy_seconds / 2, worker=n.worker, gpus=0.5)
              for n in [*one, *two]]  # fmt: skip
    assert pass_rate(shared, seconds=120).gpu_busy == pytest.approx(0.8)


def test_without_a_gpu_nothing_is_said_of_it() -> None:
    rate = pass_rate([note(1), note(2)], seconds=3)
    assert (rate.gpus, rate.gpu_busy, rate.device) == (0, None, None)
    assert "GPU" not in rate_line(rate)
    assert pass_rate([note(1, 0.5)], seconds=3).gpu_busy is None, "one commit is no span"


def test_the_watch_prints_the_rate_after_start_up() -> None:
    rate = pass_rate([note(100 + n, 0.97 * n) for n in range(70)], seconds=140)
    console = Console(width=200, record=True, file=io.StringIO())
    watch = ConsoleWatch(console)
    watch.pass_started("features/latents", todo=70, done=0, rows=70_000)
    watch.checked("features/latents", "vae: fused on cuda, relative error 0.0100 …")
    watch.pass_ended("features/latents", seconds=140, rate=rate)
    told = console.export_text()
    assert "vae: fused on cuda, relative error 0.0100" in told
    assert "1,000 rows/s over 65.0 s in steady state" in told
    assert "start-up 30.0 s, total 140.0 s" in told
    assert "1 × NVIDIA H200, GPU busy 97%" in told
