"""The fetcher with the real img2dataset subprocess, and what happens when that breaks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from loopback import HOST, PICTURE, Server, serve

from curate.errors import FetchError
from curate.fetch.client import Fetcher
from curate.fetch.outcome import FetchSettings


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


def new_fetcher(server: Server, *, stall_seconds: float = 60.0) -> Fetcher:
    settings = FetchSettings(
        user_agent="curate/0 (+https://curate.example)", allow_private_hosts=frozenset({HOST}),
        connect_to={HOST: server.here}, honour_reservations=("noai",), retries=0,
        timeout_seconds=5.0, threads=8, max_bytes=64 << 20,
    )  # fmt: skip
    return Fetcher(settings, stall_seconds=stall_seconds)


@pytest.fixture(scope="module")
def fetcher(server: Server) -> Iterator[Fetcher]:
    with new_fetcher(server) as opened:
        yield opened


def rows(*names: str) -> list[tuple[str, str]]:
    return [(f"key-{i}-{name}", f"http://{HOST}/{name}") for i, name in enumerate(names)]


def test_bodies_and_reasons_in_the_order_asked(fetcher: Fetcher) -> None:
    asked = rows("c", "status-404", "a", "noai", "b", "cut")
    got = fetcher.fetch(asked)
    assert [o.body for o in got] == [
        PICTURE + b"/c",
        None,
        PICTURE + b"/a",
        None,
        PICTURE + b"/b",
        None,
    ]
    assert [o.reason for o in got] == [
        None, "http:404", None, "reservation:x-robots-tag", None, "connection",
    ]  # fmt: skip
    assert [o.status for o in got] == [200, 404, 200, 200, 200, 200]


def test_one_url_in_many_rows_is_fetched_once(fetcher: Fetcher, server: Server) -> None:
    asked = [(f"twin-{i}", f"http://{HOST}/twin") for i in range(5)]
    assert {o.body for o in fetcher.fetch(asked)} == {PICTURE + b"/twin"}
    assert server.asked["/twin"] == 1


def test_nothing_asked(fetcher: Fetcher) -> None:
    assert fetcher.fetch([]) == []


def test_many_rows_and_threads_at_once(fetcher: Fetcher) -> None:
    results: dict[int, list[bytes | None]] = {}

    def work(shard: int) -> None:
        asked = [(f"s{shard}-{i}", f"http://{HOST}/{shard}/{i}") for i in range(120)]
        results[shard] = [o.body for o in fetcher.fetch(asked)]

    threads = [threading.Thread(target=work, args=(shard,)) for shard in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for shard in range(3):
        assert results[shard] == [PICTURE + f"/{shard}/{i}".encode() for i in range(120)]


def test_the_subprocess_is_killed_once_and_the_work_goes_on(
    fetcher: Fetcher, server: Server
) -> None:
    old = fetcher.worker_pid
    assert old is not None
    asked = [(f"kill-{i}", f"http://{HOST}/slow/kill/{i}") for i in range(60)]
    threading.Timer(0.3, os.kill, (old, signal.SIGKILL)).start()
    assert all(o.body == PICTURE for o in fetcher.fetch(asked))
    assert fetcher.worker_pid != old


def test_a_hung_subprocess_is_replaced_and_then_given_up(server: Server) -> None:
    fetcher = new_fetcher(server, stall_seconds=1.0)
    with fetcher:
        fetcher.fetch(rows("warm"))
        stopped: set[int] = set()
        done = threading.Event()

        def stop_each() -> None:
            while not done.wait(0.02):
                pid = fetcher.worker_pid
                if pid is not None and server.asked["/hang"] > len(stopped) and pid not in stopped:
                    os.kill(pid, signal.SIGSTOP)
                    stopped.add(pid)

        stopper = threading.Thread(target=stop_each)
        stopper.start()
        try:
            names = [f"slow/h{i}" for i in range(40)]
            with pytest.raises(FetchError, match="restarted once already"):
                fetcher.fetch(rows("hang", *names))
        finally:
            done.set()
            stopper.join(10)
    assert len(stopped) == 2
    assert not any(psutil.pid_exists(pid) for pid in stopped)


def test_closing_leaves_nothing_behind(server: Server) -> None:
    fetcher = new_fetcher(server).open()
    pid, folder = fetcher.worker_pid, fetcher._downloader.folder  # type: ignore[union-attr]
    fetcher.close()  # while it is still importing
    fetcher.close()
    assert pid is not None and not psutil.pid_exists(pid)
    assert not folder.exists()
    with pytest.raises(FetchError, match="not open"):
        fetcher.fetch(rows("x"))


def test_the_subprocess_dies_with_its_parent(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import os, signal, sys, threading
        from curate.fetch.downloader import Img2Dataset
        made = []
        thread = threading.Thread(target=lambda: made.append(Img2Dataset()))  # a thread that ends
        thread.start(); thread.join()
        made[0]._ready.result(120)
        print(made[0].pid, made[0].folder, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """)
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    pid, folder = done.stdout.split()
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and (psutil.pid_exists(int(pid)) or Path(folder).exists()):
        time.sleep(0.1)
    assert not psutil.pid_exists(int(pid))
    assert not Path(folder).exists()


def test_the_subprocess_gets_no_secrets_and_no_proxy(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    with new_fetcher(server) as fetcher:
        assert fetcher.worker_pid is not None
        environment = psutil.Process(fetcher.worker_pid).environ()
        assert "http_proxy" not in environment and "AWS_SECRET_ACCESS_KEY" not in environment
        assert fetcher.fetch(rows("plain"))[0].body == PICTURE + b"/plain"
