"""Turns on a device, batches that halve when memory runs out, and the choice of a fast path."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
import torch

from curate.errors import ModelError
from curate.models.agreement import first_that_agrees, relative_error
from curate.models.launch import Batches, lane

CPU = torch.device("cpu")


def fits(limit: int, seen: list[list[int]]) -> Callable[[Sequence[int]], int]:
    """Work that runs out of memory above `limit` rows, and notes what it was given."""

    def work(rows: Sequence[int]) -> int:
        if len(rows) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory (made up)")
        seen.append(list(rows))
        return sum(rows)

    return work


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 8, 100])
def test_batches_halve_until_they_fit_and_lose_nothing(limit: int) -> None:
    seen: list[list[int]] = []
    batches = Batches(planned=8)
    done = list(batches.run(range(21), fits(limit, seen)))
    assert [row for rows in seen for row in rows] == list(range(21))
    assert [result for _, result in done] == [sum(rows) for rows in seen]
    assert batches.lost == []
    assert batches.halved == (None if limit >= 8 else batches.size)
    assert batches.size <= limit or limit >= 8


def test_a_row_that_does_not_fit_alone_is_lost_and_the_others_are_not() -> None:
    def work(rows: Sequence[int]) -> list[int]:
        if 5 in rows:
            raise torch.OutOfMemoryError("CUDA out of memory (made up)")
        return list(rows)

    batches = Batches(planned=4)
    kept = [row for rows, _ in batches.run(range(9), work) for row in rows]
    assert kept == [0, 1, 2, 3, 4, 6, 7, 8]
    assert batches.lost == [5]
    assert batches.halved == 1


def test_other_errors_are_not_taken_for_memory() -> None:
    def work(rows: Sequence[int]) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        list(Batches(planned=4).run(range(3), work))


def test_one_thread_enqueues_at_a_time() -> None:
    held, most = 0, 0
    guard = threading.Lock()

    def enqueue() -> None:
        nonlocal held, most
        with lane(CPU).turn():
            with guard:
                held += 1
                most = max(most, held)
            threading.Event().wait(0.002)
            with guard:
                held -= 1

    threads = [threading.Thread(target=enqueue) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_a_cpu_result_is_there_at_once() -> None:
    own = lane(CPU)
    assert own is lane(torch.device("cpu"))
    with own.turn():
        assert torch.is_inference_mode_enabled()
        pending = own.fetch(own.send(torch.arange(3)))
    assert pending.wait().tolist() == [0, 1, 2]
    assert own.busy_seconds() == 0.0


def choose(errors: dict[str, float | str]) -> tuple[str | None, list[str]]:
    def build(name: str) -> str:
        if isinstance(errors[name], str):
            raise ModelError(f"{errors[name]}\nmore")
        return name

    paths = [(name, lambda name=name: build(name)) for name in errors]
    found, told = first_that_agrees(
        paths, lambda name: float(errors[name or ""]), encoder="t5", device="cpu", rows=3
    )
    return found, [agreement.sentence() for agreement in told]


def test_the_first_path_within_tolerance_is_taken() -> None:
    found, told = choose({"packed": 0.019, "plain": 0.0})
    assert found == "packed"
    assert told == [
        "t5: packed on cpu, relative error 0.0190 on 3 rows of the run (tolerance 0.02), used"
    ]


def test_what_is_out_of_tolerance_or_cannot_run_is_told_and_passed_over() -> None:
    found, told = choose({"packed": "no Triton here", "fused": 0.4, "plain": 0.01})
    assert found == "plain"
    assert told[0].endswith(
        "not measured on 3 rows of the run (tolerance 0.02), not used: no Triton here"
    )
    assert told[1].endswith(
        "relative error 0.4000 on 3 rows of the run (tolerance 0.02), not used: out of tolerance"
    )


def test_float32_is_the_way_where_nothing_agrees() -> None:
    found, told = choose({"packed": float("nan"), "plain": float("inf")})
    assert found is None
    assert len(told) == 2


def test_an_error_is_relative_and_never_passes_what_is_not_finite() -> None:
    exact = torch.tensor([3.0, 4.0])
    assert relative_error(exact * 1.01, exact) == pytest.approx(0.01)
    assert relative_error(torch.tensor([float("nan"), 4.0]), exact) == float("inf")
    assert relative_error(torch.zeros(2), torch.zeros(2)) == 0.0
