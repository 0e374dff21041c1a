"""The img2dataset subprocess: imported once, then one job a line until standard input ends.

Run by path, on its own, so it imports nothing of curate. It answers with JSON lines on the
original standard output; whatever img2dataset prints goes to standard error.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from typing import Any, TextIO

_FLUSH_BYTES = 8 * 1024 * 1024
_ROW_TIMEOUT_SECONDS = 24 * 3600  # the gateway has the deadlines and always answers


def main(folder: str) -> None:
    """Serve jobs; `folder` is the temporary directory, removed when the parent has gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to judge
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    threading.Thread(target=_follow_parent, args=(os.getppid(), folder), daemon=True).start()
    started = time.monotonic()
    try:
        import_img2dataset()
    except ImportError as error:
        _answer(answers, {"problem": f"{type(error).__name__}: {error}"})
        return
    _answer(answers, {"ready": round(time.monotonic() - started, 3)})
    lock = threading.Lock()
    for line in sys.stdin:
        threading.Thread(target=_work, args=(json.loads(line), answers, lock), daemon=True).start()
    _leave(folder)


def import_img2dataset() -> None:
    """Import img2dataset without torch, which only its tar writer's library would bring.

    That library has stand-ins for a missing torch; without it the process is 350 MB smaller and
    ready in half the time.
    """
    hidden = "torch" not in sys.modules
    if hidden:
        sys.modules["torch"] = None  # type: ignore[assignment]
    import img2dataset.downloader  # noqa: F401

    if hidden:
        del sys.modules["torch"]


def _work(job: dict[str, Any], answers: TextIO, lock: threading.Lock) -> None:
    done, _ = _downloader(job)((job["shard_id"], job["shard_file"]))
    with lock:
        _answer(answers, {"job": job["shard_id"], "done": done})


def _downloader(job: dict[str, Any]) -> Any:
    """img2dataset's own Downloader, set to keep the bytes as they come."""
    from img2dataset.downloader import Downloader
    from img2dataset.resizer import Resizer

    return Downloader(
        sample_writer_class=_writer_class(),
        resizer=Resizer(
            image_size=0, resize_mode="no", resize_only_if_bigger=False, disable_all_reencoding=True
        ),
        thread_count=job["threads"],
        save_caption=False,
        extract_exif=False,
        output_folder=job["folder"],
        column_list=["url", "curate_key"],
        timeout=_ROW_TIMEOUT_SECONDS,
        number_sample_per_shard=job["rows"],
        oom_shard_count=5,
        compute_hash="sha256",
        verify_hash_type=None,
        encode_format="jpg",  # a column name here: nothing is encoded
        retries=0,
        user_agent_token=None,
        disallowed_header_directives=None,
    )


def _writer_class() -> type:
    """img2dataset's Parquet writer, which buffers 100 rows, bounded in bytes as well."""
    from img2dataset.writer import ParquetSampleWriter

    class BoundedParquetWriter(ParquetSampleWriter):
        waiting_bytes = 0

        def write(self, img_str: bytes | None, key: str, caption: str | None, meta: Any) -> None:
            super().write(img_str, key, caption, meta)
            self.waiting_bytes += len(img_str or b"")
            if self.waiting_bytes > _FLUSH_BYTES:
                self.buffered_parquet_writer.flush()
                self.waiting_bytes = 0

    return BoundedParquetWriter


def _answer(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")


def _follow_parent(parent: int, folder: str) -> None:
    """End when the parent has gone, even in the middle of a job.

    Not PR_SET_PDEATHSIG: that follows the thread that started us, which may end long before.
    """
    while os.getppid() == parent:
        time.sleep(0.5)
    _leave(folder)


def _leave(folder: str) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
