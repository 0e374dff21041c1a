"""What one fetch is allowed to do (`FetchSettings`) and what came of it (`Outcome`).

A picture that cannot be had is an outcome with a reason, never an exception that leaves this
package; `Refusal` carries such a reason from where it is found to where it is recorded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Literal

Verdict = Literal["rejected", "failed"]


@dataclass(frozen=True, kw_only=True)
class FetchSettings:
    """How to fetch. Times in seconds, sizes in bytes; limits a host hold for one gateway."""

    user_agent: str
    """The whole User-Agent header, with a contact."""
    robots_names: tuple[str, ...] = ()
    """Names that an X-Robots-Tag may address us by, lower case."""
    honour_reservations: tuple[str, ...] = ()
    """Signals of `curate.license.reservations`, lower case, that keep us from reading the body."""
    no_file_statuses: frozenset[int] = frozenset({404, 410})
    """Answers to robots.txt, tdmrep.json or a landing page that mean: there is none."""
    landing_pages: Literal["look", "skip"] = "skip"
    """Whether a row's landing page is asked what it reserves, before its picture."""
    allow_private_hosts: frozenset[str] = frozenset()
    """Host names or addresses that may resolve to addresses which are not globally routable."""
    connect_to: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`{host: "address:port"}`: where to connect instead, as curl's --connect-to."""
    threads: int = 32
    retries: int = 2
    connect_timeout_seconds: float = 10.0
    first_byte_timeout_seconds: float = 20.0
    """Longest silence once connected, before the first byte or after."""
    timeout_seconds: float = 60.0
    """Bound of one attempt, redirects included."""
    least_bytes_per_second: int = 1024
    throughput_grace_seconds: float = 5.0
    """Time to first bytes of the body before the least throughput counts."""
    max_bytes: int = 32 * 1024 * 1024
    """Cap on the body, on the wire and decoded."""
    max_redirects: int = 5
    max_backoff_seconds: float = 30.0
    connections_per_host: int = 8
    requests_per_second_per_host: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came of one URL: a body, or a verdict with its reason. Observations in both cases."""

    verdict: Verdict | None = None
    reason: str | None = None
    retryable: bool = False
    text: str | None = None
    """What was measured with the reason, e.g. the reserving header; the same on every run."""
    value: float | None = None
    body: bytes | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    observed_at: str | None = None
    status: int | None = None
    final_url: str | None = None
    headers: str | None = None
    """JSON [[name, value], …] of the last response; cookies are left out."""
    reservations: str | None = None
    """JSON [{url, answer, status, sha256, at}, …]: what was asked about reservations, in order."""
    seconds: float = 0.0
    attempts: int = 0


@dataclass(frozen=True)
class Look:
    """One place where a reservation could have stood, and what was found there."""

    url: str
    answer: str
    status: int | None = None
    sha256: str | None = None
    at: str | None = None

    @cached_property
    def text(self) -> str:
        """As JSON, as the observation column holds it; encoded once for all pictures of an origin."""
        return json.dumps({"url": self.url, "answer": self.answer, "status": self.status,
                           "sha256": self.sha256, "at": self.at}, ensure_ascii=False)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Small:
    """The answer to a request for a small file: any status, the body as far as was asked."""

    status: int
    body: bytes
    url: str
    content_type: str = ""
    robots_tags: Sequence[str] = ()
    tdm_reservations: Sequence[str] = ()
    tdm_policies: Sequence[str] = ()


class Refusal(Exception):
    """One attempt ended without a body; `retryable` also says whether the gateway asks again,
    unless the reason is settled for this run.
    """

    def __init__(
        self, reason: str, *, verdict: Verdict = "failed", retryable: bool = False,
        text: str | None = None, value: float | None = None, retry_after: float | None = None,
        settled: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(reason)
        self.reason = reason
        self.verdict: Verdict = verdict
        self.retryable = retryable
        self.text = text
        self.value = value
        self.retry_after = retry_after
        """Seconds the server asked us to wait before asking again."""
        self.settled = settled
        """Asking again now would give the same answer."""
