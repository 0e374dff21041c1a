"""The TDM Reservation Protocol: rules of /.well-known/tdmrep.json, response fields, HTML meta.

Read by the W3C Community Group's report. Two of its sentences are read so that nothing reserved is
taken: where the first matching rule and the most specific one disagree, the one that reserves
holds; a value that is neither 0 nor 1 is not "unset" but unreadable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from curate.license.paths import PathPattern, path_of
from curate.license.reservations import Unreadable

WELL_KNOWN: Final = "/.well-known/tdmrep.json"
RESERVATION: Final = "tdm-reservation"
POLICY: Final = "tdm-policy"
LIMIT_BYTES: Final = 1024 * 1024
MOST_RULES: Final = 20_000
_VALUES: Final = {"0": False, "1": True}


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a rights holder declares: whether mining is reserved, and where to ask for a licence.

    `text` is the rule, field or element as it was found.
    """

    reserved: bool
    policy: str | None
    text: str


@dataclass(frozen=True, slots=True)
class _Rule:
    location: str
    pattern: PathPattern
    value: object
    policy: str | None

    def declaration(self) -> Declaration:
        told = f"location {self.location[:300]}, {RESERVATION} {str(self.value)[:20]}"
        reserved = _reserved(self.value)
        if reserved is None:
            raise Unreadable(f"{told}: neither 0 nor 1")
        return Declaration(reserved, self.policy, f"{told}{_policy_text(self.policy)}")


@dataclass(frozen=True, slots=True)
class TdmRules:
    """The rules of one tdmrep.json, in their order."""

    rules: Sequence[_Rule]
    prefixes: tuple[str, ...]

    def declaration(self, url: str) -> Declaration | None:
        """What the file says of a URL of its origin; None where no rule matches.

        Raises Unreadable if the rule that decides has a value that is neither 0 nor 1.
        """
        path = path_of(url)
        if not path.startswith(self.prefixes):
            return None
        hits = [rule for rule in self.rules if rule.pattern.matches(path)]
        if not hits:
            return None
        first, nearest = hits[0], max(hits, key=lambda rule: len(rule.pattern.text))
        told = [rule.declaration() for rule in (first, nearest)]
        return next((found for found in told if found.reserved), told[0])


def parse_tdmrep(body: bytes, *, host: str) -> TdmRules:
    """Read a tdmrep.json of `host`. Raises Unreadable for anything but an array of rules."""
    try:
        found = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise Unreadable("not JSON") from error
    if not isinstance(found, list):
        raise Unreadable("not a JSON array")
    if len(found) > MOST_RULES:
        raise Unreadable(f"more than {MOST_RULES} rules")
    read = (_rule(entry, number, host) for number, entry in enumerate(found))
    rules = tuple(rule for rule in read if rule is not None)
    return TdmRules(rules, tuple(rule.pattern.prefix for rule in rules))


def tdm_field(reservations: Iterable[str], policies: Iterable[str] = ()) -> Declaration | None:
    """What the `tdm-reservation` values of a response or page declare; None where there is none.

    Of several values one that reserves holds. Raises Unreadable for one that is neither 0 nor 1.
    """
    values = [part.strip() for value in reservations for part in value.split(",")]
    if not values:
        return None
    policy = next((text.strip() for text in policies if text.strip()), None)
    told = f"{RESERVATION}: {', '.join(values)[:100]}"
    read = [_reserved(value) for value in values]
    if True in read:
        return Declaration(True, policy, f"{told}{_policy_text(policy)}")
    if None in read:
        raise Unreadable(f"{told}: neither 0 nor 1")
    return Declaration(False, policy, told)


def _rule(entry: Any, number: int, host: str) -> _Rule | None:
    """One rule; None if it is for another host. Raises Unreadable if its place cannot be told."""
    location = entry.get("location") if isinstance(entry, dict) else None
    if not isinstance(location, str) or not location.strip():
        raise Unreadable(f"rule {number + 1} has no location")
    location = pattern = location.strip()
    if location.lower().startswith(("http://", "https://")):
        try:
            place = urlsplit(location)
        except ValueError as error:
            raise Unreadable(f"rule {number + 1} has no readable location") from error
        if (place.hostname or "") != host.lower():
            return None
        pattern = location.partition("//")[2][len(place.netloc) :] or "/"
    if not pattern.startswith(("/", "*")):
        pattern = f"/{pattern}"
    policy = entry.get(POLICY)
    return _Rule(
        location, PathPattern.of(pattern), entry.get(RESERVATION),
        policy if isinstance(policy, str) else None,
    )  # fmt: skip


def _reserved(value: object) -> bool | None:
    """0 and 1, also as text, decimal or truth value; None for anything else."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return bool(value) if value in (0, 1) else None
    return _VALUES.get(value.strip()) if isinstance(value, str) else None


def _policy_text(policy: str | None) -> str:
    return f", {POLICY} {policy[:300]}" if policy else ""
