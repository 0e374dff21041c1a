"""The parent's side of the img2dataset subprocess: one process, many shards.

Starting it takes seconds, so `start` returns at once and the first job waits. Jobs may run at the
same time. A process that ends, hangs or fails a job is `Broken`; the caller decides on a restart.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_READY_SECONDS = 180.0
_END_SECONDS = 1.0
_POLL_SECONDS = 0.5
_SCRIPT = Path(__file__).with_name("img2dataset_worker.py")
_ENVIRONMENT = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "PYTHONHOME",
    "PYTHONPATH", "VIRTUAL_ENV",
)  # fmt: skip
"""What the subprocess inherits: no proxies, which would see our gateway's token, and no secrets."""


class Broken(Exception):
    """The subprocess ended, hung or failed a job; the message says which, with its last words."""


class Img2Dataset:
    """One img2dataset subprocess and its temporary directory. Methods are thread-safe."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="curate-fetch-"))
        self._lock = threading.Lock()
        self._ready: Future[float] = Future()
        self._jobs: dict[int, Future[bool]] = {}
        self._next_job = 0
        self._log = (self.folder / "img2dataset.log").open("w+b")
        kept = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        fixed = {
            "NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1",
            "MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), str(self.folder)], env=kept | fixed,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        answers: Iterable[str] = self._process.stdout or ()
        threading.Thread(
            target=self._listen, args=(answers,), name="curate-img2dataset", daemon=True
        ).start()

    @property
    def pid(self) -> int:
        """Process id of the subprocess."""
        return self._process.pid

    def run(
        self, urls: Mapping[str, str], *, threads: int, is_stalled: Callable[[], bool]
    ) -> pa.Table:
        """Download one shard: gateway URL by key → rows in completion order, some maybe missing.

        Columns: curate_key, sha256 (hex), jpg (the bytes as fetched); null where there are none.
        `is_stalled` is asked again and again; when it says so the process counts as hung.
        Raises Broken.
        """
        self._wait(self._ready, time.monotonic() + _READY_SECONDS, lambda: False)
        with self._lock:
            number, self._next_job = self._next_job, self._next_job + 1
            answer = self._jobs[number] = Future()
        shard_file = self.folder / f"{number:05d}.arrow"
        output = self.folder / f"{number:05d}.parquet"
        try:
            _write_shard(shard_file, urls)
            self._send({
                "shard_id": number, "shard_file": str(shard_file), "folder": str(self.folder),
                "rows": len(urls), "threads": max(1, min(threads, len(urls))),
            })  # fmt: skip
            if not self._wait(answer, None, is_stalled):
                raise self._broken("failed a shard")
            return pq.read_table(output, columns=["curate_key", "sha256", "jpg"])
        except (OSError, pa.ArrowException) as error:
            raise self._broken(f"lost its files ({error})") from error
        finally:
            self._jobs.pop(number, None)
            for path in (shard_file, output, self.folder / f"{number:05d}_stats.json"):
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the subprocess and remove its directory. May be called twice."""
        if not self._ready.done() or self._jobs:
            self._process.kill()  # it does not listen now
        if self._process.stdin is not None:
            with suppress(OSError):  # it has gone already
                self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _send(self, job: dict[str, Any]) -> None:
        with self._lock:
            try:
                if self._process.stdin is not None:
                    self._process.stdin.write(json.dumps(job) + "\n")
                    self._process.stdin.flush()
            except (OSError, ValueError) as error:
                raise self._broken("takes no jobs") from error

    def _wait(
        self, future: Future[Any], deadline: float | None, is_stalled: Callable[[], bool]
    ) -> Any:
        while True:
            try:
                return future.result(_POLL_SECONDS)
            except TimeoutError:
                if is_stalled() or (deadline is not None and time.monotonic() > deadline):
                    raise self._broken("does not answer") from None

    def _listen(self, answers: Iterable[str]) -> None:
        """Hand the subprocess's answers to those who wait; at its end tell them all."""
        for line in answers:
            message = json.loads(line)
            if "ready" in message:
                self._ready.set_result(message["ready"])
            elif "problem" in message:
                self._ready.set_exception(Broken(f"could not start: {message['problem']}"))
            elif (waiting := self._jobs.get(message["job"])) is not None:
                waiting.set_result(message["done"])
        self._process.wait()
        ended = self._broken(f"ended with status {self._process.returncode}")
        waiting_for: list[Future[Any]] = [self._ready, *self._jobs.copy().values()]
        for future in waiting_for:
            if not future.done():
                future.set_exception(ended)

    def _broken(self, what: str) -> Broken:
        return Broken(f"{what}; its last words: {self._last_words() or 'none'}")

    def _last_words(self) -> str:
        try:
            text = (self.folder / "img2dataset.log").read_bytes()[-2000:]
        except OSError:
            return ""
        return " | ".join(text.decode("utf-8", "replace").split("\n")[-4:]).strip(" |")


def _write_shard(path: Path, urls: Mapping[str, str]) -> None:
    """img2dataset's input: an Arrow IPC file of url and curate_key (`key` is its own name)."""
    table = pa.table({
        "url": pa.array(urls.values(), pa.string()), "curate_key": pa.array(urls, pa.string()),
    })  # fmt: skip
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
