"""The few file operations that the store needs, relative to one root.

`publish` makes a whole file appear at once; `put_if_absent` succeeds for one writer only. The
local implementation uses temp file, fsync and rename or link; another store implements the same
methods with its own primitives.
"""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from curate.errors import MissingInput, StoreError

TEMP = ".tmp"


class LocalFiles:
    """Files under a local directory; paths are relative, with forward slashes."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def path(self, name: str) -> Path:
        """Absolute path of a file of this store; names may not leave the root."""
        if name.startswith("/") or ".." in name.split("/"):
            raise StoreError(f"{name!r} is not a path inside the dataset")
        return self.root / name

    def read(self, name: str) -> bytes:
        try:
            return self.path(name).read_bytes()
        except FileNotFoundError:
            raise MissingInput(f"{self.path(name)} does not exist") from None

    def exists(self, name: str) -> bool:
        return self.path(name).is_file()

    def size(self, name: str) -> int:
        return self.path(name).stat().st_size

    def list(self, folder: str, suffix: str = "") -> list[str]:
        """Names of the files directly in a folder, sorted; empty if there is no such folder."""
        base = self.path(folder)
        if not base.is_dir():
            return []
        return sorted(
            f"{folder}/{p.name}" for p in base.iterdir() if p.name.endswith(suffix) and p.is_file()
        )

    def publish(self, name: str, data: bytes | memoryview) -> None:
        """Write a whole file: readers see nothing or all of it. An existing file is replaced."""
        with self._temp(data) as temp:
            target = self.path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(temp, target)
            _sync_folder(target.parent)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Create a file if nobody has; True if this call created it."""
        with self._temp(data) as temp:
            target = self.path(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(temp, target)
            except FileExistsError:
                return False
            _sync_folder(target.parent)
            return True

    def remove(self, name: str) -> None:
        """Remove a file that no commit names; nothing happens if it is gone."""
        self.path(name).unlink(missing_ok=True)

    def sweep(self, *, older_than_seconds: float = 3600.0) -> None:
        """Remove what writers that died left unfinished; younger files may be a live writer's."""
        before = time.time() - older_than_seconds
        for path in (self.root / TEMP).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < before:
                    path.unlink()

    @contextlib.contextmanager
    def _temp(self, data: bytes | memoryview) -> Iterator[Path]:
        folder = self.root / TEMP
        folder.mkdir(parents=True, exist_ok=True)
        temp = folder / uuid.uuid4().hex
        try:
            with open(temp, "xb") as sink:
                sink.write(data)
                sink.flush()
                os.fsync(sink.fileno())
            yield temp
        finally:
            temp.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
