"""Which URLs and addresses may be met at all.

http and https only, no credentials in the URL, and only globally routable addresses unless the
recipe names the host. Names are resolved here, once a connection, and the connection goes to the
very addresses that were judged, so a name that changes its answer gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from curate.errors import FetchError
from curate.fetch.outcome import Refusal

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → IP addresses as text; raises OSError where there are none."""

MAX_URL_CHARACTERS = 8192
_WELL_QUOTED = re.compile(r"(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_NEVER = tuple(
    ipaddress.ip_network(net)
    for net in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "64:ff9b:1::/48",
        "2001:db8::/32",
        "3fff::/20",
        "5f00::/16",
    )
)


class BlockedAddress(OSError):
    """A name led to an address that may not be met; OSError so that aiohttp carries it on."""


@dataclass(frozen=True)
class Endpoint:
    """An address to connect to, and a port unless the URL's own is meant."""

    address: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Endpoint:
        """Read `127.0.0.1:8123`, `[::1]:8123` or an address alone. Raises FetchError otherwise."""
        if parse_address(text) is not None:
            return cls(text, None)
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if parse_address(host) is None or not port.isascii() or not port.isdigit():
            raise FetchError(
                f"connect_to names {text!r}: write an IP address and a port, e.g. '127.0.0.1:8123'"
            )
        return cls(host, int(port))


def parse_address(text: str) -> _Address | None:
    """The address in `text`, a zone id dropped, or None if it is a name."""
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def globally_routable(address: _Address) -> bool:
    """False for every private, local, shared, reserved, multicast or documentation address.

    An IPv6 address that carries an IPv4 one (mapped, compatible, NAT64, 6to4, Teredo) is judged by
    both.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = _carried(address)
        if address.ipv4_mapped is not None or address in _NAT64:
            return inner is not None and globally_routable(inner)
        if address.is_site_local or (inner is not None and not globally_routable(inner)):
            return False
    if any(address in net for net in _NEVER if net.version == address.version):
        return False
    return address.is_global and not (
        address.is_multicast or address.is_reserved or address.is_unspecified
        or address.is_link_local or address.is_loopback
    )  # fmt: skip


def _carried(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address inside an IPv6 one, if it has one."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address.teredo is not None:
        return address.teredo[1]
    if address in _NAT64 or address in _V4_COMPATIBLE:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def host_name(host: str) -> str:
    """A host as it is compared: lower case, without the trailing dot, addresses in short form."""
    address = parse_address(host)
    return str(address) if address is not None else host.lower().rstrip(".")


def check_url(url: URL) -> str:
    """The comparable host of a URL that may be asked. Raises Refusal for any other URL."""
    if url.scheme not in ("http", "https"):
        raise Refusal("blocked:scheme", text=url.scheme[:40] or None)
    try:
        host, port = url.host, url.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise Refusal("malformed:url", verdict="rejected")
    if url.user is not None or url.password is not None:
        raise Refusal("blocked:credentials")
    return host_name(host)


def parse_url(text: str) -> URL:
    """Read a URL of a source. Raises Refusal(malformed:url) if it is none."""
    if len(text) > MAX_URL_CHARACTERS:
        raise Refusal("malformed:url", verdict="rejected", value=float(len(text)))
    try:
        url = exact_url(text.strip())
    except (ValueError, UnicodeError) as error:
        raise Refusal("malformed:url", verdict="rejected") from error
    if not url.scheme or (url.scheme in ("http", "https") and not url.absolute):
        raise Refusal("malformed:url", verdict="rejected")
    return url


def exact_url(text: str) -> URL:
    """The URL as written if it is written in URL characters, else with the others quoted.

    Raises ValueError if it is none. A fragment is dropped: no server gets to see it.
    """
    return URL(text, encoded=_WELL_QUOTED.fullmatch(text) is not None).with_fragment(None)


def check_literal(host: str, *, private: bool) -> None:
    """Refuse an address written in the URL itself, which aiohttp connects to unresolved."""
    address = parse_address(host)
    if address is None:
        if ":" in host or host.replace(".", "").isdigit():  # aiohttp's own notion of an address
            raise Refusal("blocked:address", text=host)
    elif not private and not globally_routable(address):
        raise Refusal("blocked:address", text=host)


def guarded_socket(info: tuple[int, int, int, str, tuple[str | int, ...]]) -> socket.socket:
    """A socket for one getaddrinfo entry. The last look before a connection that may not be private.

    Raises BlockedAddress if the entry's address is not globally routable.
    """
    family, kind, protocol, _, place = info
    address = parse_address(str(place[0]))
    if address is None or not globally_routable(address):
        raise BlockedAddress(f"{place[0]} is not globally routable")
    return socket.socket(family, kind, protocol)


def system_lookup(executor: ThreadPoolExecutor) -> Lookup:
    """Lookup through the system's resolver, on threads of its own."""

    async def lookup(host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(
                executor, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            )
        except UnicodeError as error:  # a label that IDNA cannot carry
            raise OSError(f"{host!r} is not a host name") from error
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    return lookup


class GuardedResolver(AbstractResolver):
    """Resolve a name and keep the addresses that may be met.

    `private=True` keeps all of them: for the hosts that the recipe names. `connect_to` replaces
    address and port, and its addresses are judged like any other.
    """

    def __init__(
        self, lookup: Lookup, *, connect_to: Mapping[str, Endpoint], private: bool
    ) -> None:
        self._lookup = lookup
        self._connect_to = connect_to
        self._private = private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses to connect to. Raises BlockedAddress if there are some but none may be met."""
        mapped = self._connect_to.get(host_name(host))
        texts = [mapped.address] if mapped else await self._lookup(host, port)
        found = [(text, address) for text in texts if (address := parse_address(text)) is not None]
        if not found:
            raise OSError(f"{host} has no address")
        kept = [(t, a) for t, a in found if self._private or globally_routable(a)]
        if not kept:
            raise BlockedAddress(f"{host} leads to {found[0][0]}, which is not globally routable")
        return [
            ResolveResult(
                hostname=host, host=text, port=mapped.port if mapped and mapped.port else port,
                family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST,
            )
            for text, address in kept
        ]  # fmt: skip

    async def close(self) -> None:
        """Nothing to give back."""
