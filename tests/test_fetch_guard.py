"""Which URLs and addresses may be met."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import FetchError
from curate.fetch import guard
from curate.fetch.outcome import Refusal

NEVER = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "0.0.0.0", "100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "192.88.99.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.1.2.3",
    "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2002:a00:1::1", "2001:db8::1", "3fff::1", "fe80::1", "fe80::1%eth0",
    "fc00::1", "fd12:3456::1", "fec0::1", "ff02::1", "100::1", "5f00::1",
    "2001:0:4136:e378:8000:63bf:80ff:fffe",
]  # fmt: skip
PUBLIC = [
    "1.1.1.1", "8.8.8.8", "93.184.216.34", "172.15.0.1", "172.32.0.1", "100.63.0.1",
    "100.128.0.1", "192.167.1.1", "223.255.255.1", "2606:4700:4700::1111", "2a00:1450::1",
    "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
]  # fmt: skip


@pytest.mark.parametrize("text", NEVER)
def test_refuses_an_address_that_is_not_globally_routable(text: str) -> None:
    address = guard.parse_address(text)
    assert address is not None
    assert not guard.globally_routable(address)


@pytest.mark.parametrize("text", PUBLIC)
def test_allows_a_public_address(text: str) -> None:
    address = guard.parse_address(text)
    assert address is not None
    assert guard.globally_routable(address)


@given(st.ip_addresses(v=4))
def test_an_address_inside_ipv6_is_judged_as_in_ipv4(address: ipaddress.IPv4Address) -> None:
    plain = guard.globally_routable(address)
    for prefix in ("::ffff:0:0", "64:ff9b::"):
        inside = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + int(address))
        assert guard.globally_routable(inside) == plain


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("file:///etc/passwd", "blocked:scheme"),
        ("data:image/png;base64,AAAA", "blocked:scheme"),
        ("ftp://pictures.example/a.jpg", "blocked:scheme"),
        ("gopher://127.0.0.1:25/_x", "blocked:scheme"),
        ("javascript:alert(1)", "blocked:scheme"),
        ("http://me:secret@pictures.example/a.jpg", "blocked:credentials"),
        ("http://127.0.0.1/", "blocked:address"),
        ("http://127.1/", "blocked:address"),
        ("http://2130706433/", "blocked:address"),
        ("http://[::1]/", "blocked:address"),
        ("http://[::ffff:7f00:1]/", "blocked:address"),
        ("http://[fe80::1%25eth0]/", "blocked:address"),
        ("http://169.254.169.254/latest/meta-data/", "blocked:address"),
        ("", "malformed:url"),
        ("not a url", "malformed:url"),
        ("pictures.example/a.jpg", "malformed:url"),
        ("//pictures.example/a.jpg", "malformed:url"),
        ("http://", "malformed:url"),
        ("http:///a.jpg", "malformed:url"),
        ("http://pictures.example:99999/", "malformed:url"),
        ("http://[::1/", "malformed:url"),
        ("http://a" + "/b" * 5000, "malformed:url"),
        ("http://" + "a" * 300 + ".example/", None),
    ],
)
def test_judges_a_url_before_anything_is_asked(text: str, reason: str | None) -> None:
    def judge() -> None:
        url = guard.parse_url(text)
        guard.check_url(url)
        guard.check_literal(url.host or "", private=False)

    if reason is None:
        judge()
        return
    with pytest.raises(Refusal) as refused:
        judge()
    assert refused.value.reason == reason
    assert not refused.value.retryable
    assert (refused.value.verdict == "rejected") == reason.startswith("malformed")


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for candidate in (text, f"http://{text}/", f"http://pictures.example/{text}"):
        try:
            guard.check_url(guard.parse_url(candidate))
        except Refusal as refused:
            assert refused.reason.split(":")[0] in ("malformed", "blocked")


def resolve(
    addresses: Sequence[str], *, private: bool = False, connect_to: dict[str, str] | None = None
) -> list[tuple[str, int]]:
    async def lookup(host: str, port: int) -> Sequence[str]:
        return addresses

    mapped = {host: guard.Endpoint.parse(to) for host, to in (connect_to or {}).items()}
    resolver = guard.GuardedResolver(lookup, connect_to=mapped, private=private)
    found = asyncio.run(resolver.resolve("Name.Example", 80))
    return [(entry["host"], entry["port"]) for entry in found]


def test_a_name_keeps_only_its_public_addresses() -> None:
    assert resolve(["10.0.0.1", "8.8.8.8", "::1"]) == [("8.8.8.8", 80)]


def test_a_name_with_private_addresses_only_is_blocked() -> None:
    with pytest.raises(guard.BlockedAddress, match=r"10\.0\.0\.1"):
        resolve(["10.0.0.1", "fd00::1"])


def test_a_host_named_by_the_recipe_may_be_private() -> None:
    assert resolve(["10.0.0.1"], private=True) == [("10.0.0.1", 80)]


def test_connect_to_replaces_the_address_but_not_the_rule() -> None:
    to = {"name.example": "127.0.0.1:8123"}
    assert resolve(["8.8.8.8"], private=True, connect_to=to) == [("127.0.0.1", 8123)]
    with pytest.raises(guard.BlockedAddress):
        resolve(["8.8.8.8"], connect_to=to)


def test_connect_to_takes_addresses_only() -> None:
    assert guard.Endpoint.parse("[::1]:80") == guard.Endpoint("::1", 80)
    assert guard.Endpoint.parse("10.0.0.1") == guard.Endpoint("10.0.0.1", None)
    for text in ("somewhere:80", "127.0.0.1:", "127.0.0.1:http", ""):
        with pytest.raises(FetchError, match="connect_to"):
            guard.Endpoint.parse(text)


def test_no_socket_for_a_private_address_whatever_led_there() -> None:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::ffff:10.0.0.1")):
        with pytest.raises(guard.BlockedAddress):
            guard.guarded_socket((family, socket.SOCK_STREAM, 6, "", (address, 80)))
    guard.guarded_socket((socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 80))).close()
