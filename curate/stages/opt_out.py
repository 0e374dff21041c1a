"""Honour opt-outs that are known before anything is fetched: domains and address prefixes.

What a server says in its headers is read when the picture comes (curate.license.reservations).
"""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal

import pyarrow as pa
from pydantic import AfterValidator

from curate import columns as c
from curate.stage import Stage, Transform, mark

_ADDRESS = re.compile(r"(?:[a-z][a-z0-9+.-]*:)?//(?:[^/?#@]*@)*(\[[^\]]*\]|[^/?#:]*)(?::\d*)?(.*)", re.I | re.S)  # fmt: skip


def _domain(name: str) -> str:
    folded = _host(name)
    if not folded or not re.fullmatch(r"[\w.-]+", folded):
        raise ValueError(f"{name!r} is not a domain: write example.org, without scheme or path")
    return folded


def _prefix(address: str) -> str:
    if _ADDRESS.fullmatch(address) is None:
        raise ValueError(f"{address!r} is not an address prefix: write https://example.org/photos/")
    return address


def _host(name: str) -> str:
    """A host in the form in which hosts are compared: ASCII, lower case, no dot at the end."""
    plain = name.strip().rstrip(".").lower()
    try:
        return plain if plain.isascii() else plain.encode("idna").decode()
    except UnicodeError:
        return plain


class OptOut(Stage):
    """Rejects `reservation:domain` and `reservation:url` by the recipe's own lists.

    A domain covers its subdomains. A prefix covers both http and https; its host is compared
    without regard to case. Rows without a URL (local files) pass. The measured text is the entry.
    """

    kind: Literal["opt_out"] = "opt_out"
    domains: tuple[Annotated[str, AfterValidator(_domain)], ...] = ()
    url_prefixes: tuple[Annotated[str, AfterValidator(_prefix)], ...] = ()

    consumes: ClassVar[pa.Schema] = pa.schema([c.KEY, c.URL])

    def open(self) -> Transform:
        domains = frozenset(self.domains)
        prefixes = tuple((_folded(p), p) for p in self.url_prefixes)
        return lambda table: _filtered(table, domains, prefixes, self.kind)


def _filtered(
    table: pa.Table, domains: frozenset[str], prefixes: tuple[tuple[str, str], ...], stage: str
) -> pa.Table:
    if not domains and not prefixes:
        return table
    hits = [_hit(url, domains, prefixes) for url in table[c.URL.name].to_pylist()]
    return mark(table, [r for r, _ in hits], stage=stage, text=[entry for _, entry in hits])


def _hit(
    url: str | None, domains: frozenset[str], prefixes: tuple[tuple[str, str], ...]
) -> tuple[str | None, str | None]:
    """Reason and entry for a URL, or two times None."""
    address = _ADDRESS.fullmatch(url.strip()) if url else None
    if address is None:
        return None, None
    labels = _host(address[1]).split(".")
    for start in range(len(labels)):
        if ".".join(labels[start:]) in domains:
            return "reservation:domain", ".".join(labels[start:])
    folded = _folded(address[0])
    entry = next((given for prefix, given in prefixes if folded.startswith(prefix)), None)
    return ("reservation:url", entry) if entry else (None, None)


def _folded(address: str) -> str:
    """Host in the compared form and the rest as it is, without the scheme."""
    match = _ADDRESS.fullmatch(address)
    return f"{_host(match[1])}{match[2] or '/'}" if match else address
