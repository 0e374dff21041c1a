"""The demo's web server: every planted behaviour, over loopback."""

from __future__ import annotations

import http.client
import io
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from curate.demo import corpus as demo
from curate.demo import faults, server
from curate.errors import MissingInput
from curate.license.robots import parse_robots
from curate.license.tdmrep import parse_tdmrep

PICTURES = 400


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> demo.Corpus:
    return demo.write_corpus(tmp_path_factory.mktemp("corpus"), pictures=PICTURES, seed=11)


@pytest.fixture(scope="module")
def rows() -> list[demo.Row]:
    return demo.draw_rows(pictures=PICTURES, seed=11)


@pytest.fixture(scope="module")
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture(scope="module")
def address(corpus: demo.Corpus, log: io.StringIO) -> Iterator[server.Address]:
    with server.serve(corpus.directory, log=log) as address:
        yield address


def get(
    connection: http.client.HTTPConnection, path: str, method: str = "GET", host: str = server.HOST
) -> tuple[int, list[tuple[str, str]], bytes]:
    connection.request(method, path, headers={"Host": host})
    answer = connection.getresponse()
    return answer.status, answer.getheaders(), answer.read()


def test_every_row_is_served_as_planted(
    rows: list[demo.Row], address: server.Address, log: io.StringIO
) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    started = time.monotonic()
    for row in rows:
        if row.fault == "timeout":
            continue
        status, headers, body = get(connection, f"/pictures/{row.file_name}")
        if row.fault.startswith("http_"):
            assert status == int(row.fault.removeprefix("http_"))
            continue
        assert (status, body) == (200, row.body)
        suffix = row.file_name.rpartition(".")[2].replace("jpg", "jpeg")
        assert ("Content-Type", f"image/{suffix}") in headers
        robots = [value for name, value in headers if name == "X-Robots-Tag"]
        assert " | ".join(robots) == (row.detail if robots else "")
        declared = [value for name, value in headers if name == "tdm-reservation"]
        assert bool(declared) == (row.fault == "tdm_reservation" and row.detail == "fields")
        assert bool(robots) == (row.fault == "noai" or row.oddity == "robots_of_another")
    assert time.monotonic() - started < 15  # thousands in seconds, one connection
    connection.close()
    assert f"GET /pictures/{rows[0].file_name} " in log.getvalue()


def test_the_origin_says_what_it_reserves(rows: list[demo.Row], address: server.Address) -> None:
    connection = http.client.HTTPConnection(*address, timeout=10)
    status, headers, body = get(connection, "/robots.txt")
    robots = parse_robots(body, names=("curate", "img2dataset"))
    assert (status, ("Content-Type", "text/plain; charset=utf-8") in headers) == (200, True)
    status, headers, body = get(connection, "/.well-known/tdmrep.json")
    rules = parse_tdmrep(body, host=server.HOST)
    assert (status, ("Content-Type", "application/json; charset=utf-8") in headers) == (200, True)
    for row in rows:
        url = f"http://{server.HOST}/pictures/{row.file_name}"
        told = rules.declaration(url)
        assert (robots.forbidding(url) is not None) == (row.fault == "robots_txt")
        by_file = row.fault == "tdm_reservation" and row.detail != "fields"
        assert (told is not None and told.reserved) == by_file
        if row.oddity == "robots_allow":
            assert row.file_name.startswith(faults.CLOSED)
    connection.close()


def test_a_timeout_holds_its_connection_until_the_server_closes(
    corpus: demo.Corpus, rows: list[demo.Row]
) -> None:
    path = f"/pictures/{next(row for row in rows if row.fault == 'timeout').file_name}"
    with server.serve(corpus.directory) as address:
        impatient = http.client.HTTPConnection(*address, timeout=0.3)
        with pytest.raises(TimeoutError):
            get(impatient, path)
        impatient.close()
        patient = http.client.HTTPConnection(*address, timeout=20)
        patient.request("GET", path, headers={"Host": server.HOST})
        time.sleep(0.1)
        started = time.monotonic()
    assert time.monotonic() - started < 5
    with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
        patient.getresponse()
    patient.close()


def test_only_its_host_its_paths_and_reading_are_served(
    rows: list[demo.Row], address: server.Address
) -> None:
    good = next(row for row in rows if row.fault == demo.GOOD)
    path = f"/pictures/{good.file_name}"
    connection = http.client.HTTPConnection(*address, timeout=10)
    assert get(connection, path, host="other.example")[0] == 421
    assert get(connection, path, host=f"{server.HOST}:8080")[0] == 200
    assert get(connection, f"{path}?size=large")[0] == 200
    for missing in ("/", "/robots.txt/", "/pictures/../truth.parquet", "/truth.parquet"):
        assert get(connection, missing)[0] == 404
    assert get(connection, path, method="DELETE")[0] == 405
    status, headers, body = get(connection, path, method="HEAD")
    assert (status, body) == (200, b"")
    assert ("Content-Length", str(len(good.body or b""))) in headers
    connection.close()


def test_it_runs_as_a_process_of_its_own(corpus: demo.Corpus, rows: list[demo.Row]) -> None:
    command = [sys.executable, "-m", "curate.demo.server", str(corpus.directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(process.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        good = next(row for row in rows if row.fault == demo.GOOD)
        assert get(connection, f"/pictures/{good.file_name}")[2] == good.body
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        connection.close()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_it_ends_with_the_process_that_started_it(corpus: demo.Corpus) -> None:
    starter = (
        "import subprocess, sys, time\n"
        "subprocess.Popen([sys.executable, '-m', 'curate.demo.server', sys.argv[1]])\n"
        "time.sleep(60)\n"
    )
    command = [sys.executable, "-c", starter, str(corpus.directory)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
        assert parent.stdout.read() == ""  # ends when the server, too, has closed the pipe
        with pytest.raises(ConnectionRefusedError):
            get(http.client.HTTPConnection("127.0.0.1", port, timeout=5), "/")
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()


def test_a_folder_without_a_corpus_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingInput, match=r"server\.json"), server.serve(tmp_path):
        pass
    assert server.main([str(tmp_path)]) == 2
    assert server.main([]) == 2
