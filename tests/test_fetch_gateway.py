"""The loopback gateway as img2dataset sees it: plain urllib against a real one."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from loopback import HOST, PICTURE, Server, serve

from curate.fetch.gateway import Gateway
from curate.fetch.outcome import FetchSettings
from curate.license.reservations import x_robots_tag


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture
def gateway(server: Server) -> Iterator[Gateway]:
    settings = FetchSettings(
        user_agent="curate/0 (+https://curate.example)", allow_private_hosts=frozenset({HOST}),
        connect_to={HOST: server.here}, honour_reservations=("noai",), retries=0,
        timeout_seconds=5.0,
    )  # fmt: skip
    gateway = Gateway(settings, judge=lambda values: x_robots_tag(values, user_agents=()))
    gateway.start()
    try:
        yield gateway
    finally:
        gateway.close()


def ask(url: str, *, method: str = "GET") -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, method=method), timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_a_registered_key_is_fetched_and_recorded(gateway: Gateway) -> None:
    urls = gateway.register({"a/b ?#%": f"http://{HOST}/a", "gone": f"http://{HOST}/status-404"})
    assert ask(urls["a/b ?#%"]) == (200, PICTURE + b"/a")
    assert ask(urls["gone"]) == (502, b"http:404")
    records = gateway.withdraw(["a/b ?#%", "gone", "never asked"])
    assert set(records) == {"a/b ?#%", "gone"}
    assert records["a/b ?#%"].status == 200 and records["a/b ?#%"].body is None
    assert records["gone"].reason == "http:404"


def test_only_its_own_run_is_served(gateway: Gateway, server: Server) -> None:
    url = gateway.register({"key": f"http://{HOST}/secret"})["key"]
    place = urlsplit(url)
    base = f"http://{place.netloc}"
    token = place.path.split("/")[1]
    strange = [
        f"{base}/key", f"{base}/{'x' * len(token)}/key", f"{base}/{token[:-1]}/key",
        f"{base}/{token}/other", f"{base}/{token}", f"{base}/", f"{base}//key",
        f"{base}/{token}/http://{HOST}/secret", f"{base}/{token}/..%2Fkey",
    ]  # fmt: skip
    assert [ask(one)[0] for one in strange] == [404] * len(strange)
    assert [ask(url, method=method)[0] for method in ("POST", "HEAD", "PUT")] == [404] * 3
    gateway.withdraw(["key"])
    assert ask(url)[0] == 404
    assert not server.asked["/secret"]


def test_it_is_no_proxy(gateway: Gateway, server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=10)
    connection.putrequest("GET", f"http://{server.here}/proxied", skip_host=True)
    connection.endheaders()
    assert connection.getresponse().status == 404
    connection.close()
    assert not server.asked["/proxied"]


def test_it_listens_on_loopback_only(gateway: Gateway) -> None:
    addresses = {entry[4][0] for entry in socket.getaddrinfo(socket.gethostname(), None)}
    for address in addresses - {"127.0.0.1", "::1"}:
        if not address.startswith("127."):
            with pytest.raises(OSError):
                socket.create_connection((address, gateway.port), timeout=1).close()


def test_nonsense_is_dropped(gateway: Gateway) -> None:
    for nonsense in (b"\r\n\r\n", b"GET\r\n\r\n", b"x" * 100_000, b"\xff\xfe / \x00\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as link:
            answer = b""
            with contextlib.suppress(OSError):  # it may hang up in the middle
                link.sendall(nonsense)
                link.shutdown(socket.SHUT_WR)
                answer = link.recv(4096)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 404")
    urls = gateway.register({"k": f"http://{HOST}/still-there"})
    assert ask(urls["k"])[0] == 200


def test_it_knows_when_it_is_idle_and_closes_at_once(gateway: Gateway) -> None:
    url = gateway.register({"k": f"http://{HOST}/silent"})["k"]

    def ask_in_vain() -> None:
        with contextlib.suppress(OSError):
            ask(url)

    waiting = threading.Thread(target=ask_in_vain)
    waiting.start()
    time.sleep(0.3)
    assert gateway.idle_seconds() == 0.0
    gateway.withdraw(["k"])  # ends the fetch, too
    waiting.join(10)
    assert not waiting.is_alive()
    time.sleep(0.05)
    assert gateway.idle_seconds() > 0
    started = time.monotonic()
    gateway.close()
    assert time.monotonic() - started < 5
