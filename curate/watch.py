"""Who is told what a run does while it lasts: the progress lines of the command line, or nobody."""

from __future__ import annotations

from typing import Protocol

from curate.store.commit import Commit
from curate.store.record import PassRate


class Watch(Protocol):
    """Who is told what the run does: the progress lines of the command line."""

    def planned(self, *, rows: int, parts: int, done: int, todo: int) -> None: ...
    def pass_started(self, layer: str, *, todo: int, done: int, rows: int) -> None: ...
    def shard_done(self, layer: str, commit: Commit) -> None: ...
    def checked(self, layer: str, sentence: str) -> None: ...
    def pass_ended(self, layer: str, *, seconds: float, rate: PassRate | None) -> None: ...


class Silent:
    """A watch that prints nothing."""

    def planned(self, *, rows: int, parts: int, done: int, todo: int) -> None:
        """The plan is committed; `done` of the run's shards are committed too, `todo` are not."""

    def pass_started(self, layer: str, *, todo: int, done: int, rows: int) -> None:
        """A pass begins with `todo` shards to compute and `done` found committed."""

    def shard_done(self, layer: str, commit: Commit) -> None:
        """One shard was committed."""

    def checked(self, layer: str, sentence: str) -> None:
        """A worker held a fast path of a model against float32; each finding is told once."""

    def pass_ended(self, layer: str, *, seconds: float, rate: PassRate | None) -> None:
        """All shards of a pass are committed; `rate` if it ran models on some of them."""
