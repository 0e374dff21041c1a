"""Paging through an API into a folder that freezes what it said, one file a page.

A killed paging goes on at the page after the last that is there; `DONE.json` closes the snapshot,
and nothing is asked again once it stands. Candidates come from the folder alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from curate.errors import FetchError, MissingInput, RecipeError
from curate.sources.base import InputFile, hash_file, hash_listing
from curate.sources.publisher import host_of
from curate.store.files import LocalFiles

if TYPE_CHECKING:
    from curate.fetch.outcome import FetchSettings, Outcome

ASKED: Final = "ASKED.json"
DONE: Final = "DONE.json"
_FORMAT: Final = "curate-page/1"
_ATTEMPTS: Final = 6
_BUSY_SECONDS: Final = 5.0
_CIRCLE: Final = "the API named a page as the next one that it had given already"
Body = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Api:
    """How an API is paged: what to ask first, and what to ask after a page that it gave.

    `complaint` tells what is wrong with a body that came with status 200, and whether waiting
    helps; `total` is how many items the API says there are, if it says so.
    """

    first: str
    follow: Callable[[Body, int], str | None]
    complaint: Callable[[Body], tuple[str, bool] | None]
    total: Callable[[Body], int | None]


@dataclass(frozen=True, kw_only=True)
class Page:
    """One answer as it came: addresses, status, time (ISO 8601, UTC) and the body's bytes."""

    number: int
    request_url: str
    final_url: str
    status: int
    retrieved_at: str
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def said(self) -> Body:
        """The body as a JSON object. Raises ValueError if it is none."""
        value = json.loads(self.body)
        if not isinstance(value, dict):
            raise ValueError("the body is no JSON object")
        return value


class Snapshot:
    """The pages of one query in one folder; `asked` says which query that is."""

    def __init__(self, folder: Path, asked: Mapping[str, Any]) -> None:
        self._files = LocalFiles(folder)
        self._asked = dict(asked)
        self.folder = folder

    @property
    def done(self) -> bool:
        return self._files.exists(DONE)

    def check(self) -> None:
        """Raises RecipeError if the folder holds the pages of another query."""
        if not self._files.exists(ASKED) or not self._files.exists(_name(1)):
            return
        was = json.loads(self._files.read(ASKED))
        if was != self._asked:
            raise RecipeError(
                f"{self.folder} holds the pages of another query ({json.dumps(was)}), this recipe asks "
                f"{json.dumps(self._asked)}: choose another `path`, or go back to that query"
            )

    def begin(self) -> None:
        """Say what is asked; as long as no page is there, a corrected query takes its place."""
        if not self._files.exists(_name(1)):
            self._files.publish(ASKED, _json(self._asked))

    def count(self) -> int:
        """How many pages are there without a gap."""
        number = 0
        while self._files.exists(_name(number + 1)):
            number += 1
        return number

    def page(self, number: int) -> Page:
        """One page. Raises MissingInput if it is not there or not what was kept."""
        name = _name(number)
        kept = json.loads(self._files.read(name))
        text = kept.get("body")
        body = base64.b64decode(kept["body_base64"]) if text is None else text.encode()
        page = Page(
            number=kept["number"], request_url=kept["request_url"], final_url=kept["final_url"],
            status=kept["status"], retrieved_at=kept["retrieved_at"], body=body,
        )  # fmt: skip
        if page.sha256 != kept["body_sha256"] or page.number != number:
            raise MissingInput(
                f"{self.folder / name} is damaged: its body has sha256 {page.sha256}, kept was "
                f"{kept['body_sha256']}; remove it and {DONE}, and it is asked for again"
            )
        return page

    def pages(self) -> Iterator[Page]:
        """Every page in order. Raises MissingInput if the snapshot is not closed or damaged."""
        if not self.done:
            raise MissingInput(f"{self.folder} is no closed snapshot: it has no {DONE}")
        for number in range(1, json.loads(self._files.read(DONE))["pages"] + 1):
            yield self.page(number)

    def keep(self, page: Page) -> None:
        """Write a page, whole or not at all; the first writer of a number wins."""
        told = {
            "format": _FORMAT, "number": page.number, "request_url": page.request_url,
            "final_url": page.final_url, "status": page.status,
            "retrieved_at": page.retrieved_at, "body_sha256": page.sha256,
        }  # fmt: skip
        try:
            body = {"body": page.body.decode()}
        except UnicodeDecodeError:
            body = {"body_base64": base64.b64encode(page.body).decode()}
        self._files.put_if_absent(_name(page.number), _json({**told, **body}))

    def close(self, *, pages: int, ended: str, totals: list[int]) -> None:
        """Close the snapshot: how many pages, why there are no more, which totals the API named."""
        told = {"pages": pages, "ended": ended, "totals": totals}
        self._files.put_if_absent(DONE, _json(told))

    def inputs(self) -> list[InputFile]:
        """The closing file by its hash, and the pages as one entry over the hash of each."""
        self.check()
        if not self.done:
            raise MissingInput(f"{self.folder} is no closed snapshot: it has no {DONE}")
        pages = json.loads(self._files.read(DONE))["pages"]
        files = [hash_file(self.folder / _name(n), _name(n)) for n in range(1, pages + 1)]
        listing = hash_listing(
            (f"{file.sha256} {file.name}" for file in files), "pages", sum(f.bytes for f in files)
        )
        return [hash_file(self.folder / DONE, DONE), listing]


def take(snapshot: Snapshot, api: Api, settings: FetchSettings, *, limit: int) -> None:
    """Fetch the pages that the snapshot lacks, at most `limit` in all, and close it.

    Raises FetchError if the API does not give a page; what came before is kept, and the next
    call goes on there. A closed snapshot is left alone and nothing is asked.
    """
    snapshot.check()
    if not snapshot.done:
        snapshot.begin()
        asyncio.run(_take(snapshot, api, settings, limit))


async def _take(snapshot: Snapshot, api: Api, settings: FetchSettings, limit: int) -> None:
    from curate.fetch.web import Web

    number, url, totals, asked = 0, api.first, list[int](), set[str]()
    web = Web(settings, judge=lambda values: ())
    try:
        while number < limit:
            number += 1
            asked.add(url)
            if snapshot.count() < number:
                snapshot.keep(await _page(web, api, url, number))
            said = snapshot.page(number).said
            total = api.total(said)
            if total is not None and totals[-1:] != [total]:
                totals.append(total)
            after = api.follow(said, number)
            if after is None:
                snapshot.close(pages=number, ended="the last page", totals=totals)
                return
            if after in asked:
                snapshot.close(pages=number, ended=_CIRCLE, totals=totals)
                return
            url = after
    finally:
        await web.close()
    snapshot.close(pages=number, ended="the recipe's limit of pages", totals=totals)


async def _page(web: Any, api: Api, url: str, number: int) -> Page:
    """One page with a body that makes sense, asked for again where waiting may help."""
    problem = ""
    for attempt in range(_ATTEMPTS):
        outcome: Outcome = await web.fetch(url)
        if outcome.body is None:
            raise FetchError(_no_page(url, number, outcome.reason or "no answer", outcome))
        page = Page(
            number=number, request_url=url, final_url=outcome.final_url or url,
            status=outcome.status or 0, retrieved_at=outcome.observed_at or "", body=outcome.body,
        )  # fmt: skip
        if host_of(page.final_url) != host_of(url):
            problem = f"it came from another host, {page.final_url}: name that one as `endpoint`"
            break
        try:
            complaint = api.complaint(page.said)
        except (ValueError, RecursionError) as error:
            complaint = (f"no whole JSON object ({error})", True)
        if complaint is None:
            return page
        problem, may_help = complaint
        if not may_help:
            break
        await asyncio.sleep(_pause_seconds(outcome, attempt))
    raise FetchError(_no_page(url, number, problem, outcome))


def _pause_seconds(outcome: Outcome, attempt: int) -> float:
    """What the answer asks for (Retry-After in seconds), else a back-off; two minutes at most."""
    headers = {name.lower(): value for name, value in json.loads(outcome.headers or "[]")}
    asked = headers.get("retry-after", "")
    seconds = float(asked) if asked.isascii() and asked.isdigit() else _BUSY_SECONDS * attempt + 1.0
    return min(seconds, 120.0)


def _no_page(url: str, number: int, problem: str, outcome: Outcome) -> str:
    return (
        f"page {number} did not come: {problem} (status {outcome.status}, {outcome.attempts} attempts, "
        f"{url}). The pages before it are kept: run the same recipe again and it goes on there"
    )


def _name(number: int) -> str:
    return f"page-{number:06d}.json"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass") + b"\n"
