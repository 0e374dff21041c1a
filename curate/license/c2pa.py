"""What signed C2PA manifests say of training and mining, through c2pa-python where it is installed.

A reservation needs no proof, so one in a manifest with a broken signature counts like any other; a
manifest that nobody here can read reserves too. Nothing is asked of the network.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from curate.images.containers import holds_manifest, media_type
from curate.license.plus import Reservation

if TYPE_CHECKING:
    import c2pa

ASSERTIONS: Final = ("cawg.training-mining", "c2pa.training-mining")
SIGNATURE: Final[Mapping[str, str]] = {
    "trusted": "signature and hashes hold, and the signer is one the recipe trusts",
    "untrusted": "signature and hashes hold; the signer is nobody the recipe trusts",
    "invalid": "the signature or a hash does not hold",
    "unread": "there is a manifest that could not be read",
}
_ELSEWHERE: Final = "xmp:{http://purl.org/dc/terms/}provenance"
_ALTERED: Final = "assertion.hashedURI.mismatch"
_OF_THE_MOMENT: Final = ("signingCredential.expired", "signingCredential.ocsp", "timeStamp.")
"""Codes that another day would change: they are left out, so the same bytes say the same."""


def installed() -> str | None:
    """The version of c2pa-python that would read manifests here, None without the extra."""
    try:
        return version("c2pa-python")
    except PackageNotFoundError:
        return None


def training_mining(
    body: bytes | memoryview, elsewhere: str | None = None, *, trust_anchors: str = ""
) -> list[Reservation]:
    """Reservations in the manifests of a picture file.

    `elsewhere` is what its XMP says of where its manifest lies; `trust_anchors` are certificates as
    PEM text. Costs microseconds where there is no manifest.
    """
    if holds_manifest(body):
        return list(_embedded(body, trust_anchors))
    if elsewhere is None or "://" not in elsewhere:
        return []
    return [Reservation("c2pa_unread", f"a manifest elsewhere: {elsewhere}", _ELSEWHERE)]


def _embedded(body: bytes | memoryview, trust_anchors: str) -> Iterator[Reservation]:
    if installed() is None:
        yield _unread("there is a manifest, and curate-t2i[c2pa] is not installed")
        return
    from c2pa import C2paError, Reader

    try:
        with Reader(
            media_type(body) or "", BytesIO(body), context=_context(trust_anchors)
        ) as reader:
            store = json.loads(reader.json())
    except (C2paError, ValueError) as error:
        yield _unread(f"{str(error)[:160]}")
        return
    codes = _codes(store)
    signature = _signature(codes)
    for label, manifest in sorted(store.get("manifests", {}).items()):
        for assertion in manifest.get("assertions", ()):
            yield from _reserved(label, assertion, signature, codes)


@lru_cache(maxsize=4)
def _context(trust_anchors: str) -> c2pa.Context:
    """How manifests are read: all checks, no network, and trust in nobody but whom we are told."""
    from c2pa import Context

    settings: dict[str, Any] = {
        "verify": {"verify_after_reading": True, "verify_trust": True, "ocsp_fetch": False,
                   "remote_manifest_fetch": False},
    }  # fmt: skip
    if trust_anchors:
        settings["trust"] = {"trust_anchors": trust_anchors}
    return Context.from_dict(settings)


def _unread(why: str) -> Reservation:
    return Reservation("c2pa_unread", why, "c2pa", "unread")


def _reserved(
    label: str, assertion: Mapping[str, Any], signature: str, codes: tuple[str, ...]
) -> Iterator[Reservation]:
    """Every use that an assertion does not plainly allow; of an unknown form, the whole of it.

    A permission needs proof: where an assertion does not have its hash, none is believed. A second assertion of the same name is numbered: `cawg.training-mining__1`.
    """
    name = str(assertion.get("label", "")).partition("__")[0]
    if name not in ASSERTIONS:
        return
    data = assertion.get("data")
    entries = data.get("entries") if isinstance(data, dict) else None
    listed = entries.items() if isinstance(entries, dict) else [("entries", entries)]
    believed = _ALTERED not in codes
    for entry, terms in listed:
        use = terms.get("use") if isinstance(terms, dict) else None
        if use != "allowed" or not believed:
            told = f"{entry}: {use}" + ("" if believed else ", in a manifest altered since")
            where = f"c2pa:{label}/{name}"
            yield Reservation("c2pa_training_mining", told, where, signature, codes)


def _codes(store: Mapping[str, Any]) -> tuple[str, ...]:
    """The failures that the validator reports, of any manifest in the store, sorted."""
    failures = {str(status.get("code")) for status in store.get("validation_status") or ()}
    return tuple(sorted(code for code in failures if not code.startswith(_OF_THE_MOMENT)))


def _signature(codes: tuple[str, ...]) -> str:
    if set(codes) - {"signingCredential.untrusted"}:
        return "invalid"
    return "untrusted" if codes else "trusted"
