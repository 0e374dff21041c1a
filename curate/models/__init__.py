"""The encoders that features come from: where a reference points, and what its weights hash to.

A reference is `builtin:tiny`, a local directory, or `hub:org/name@<40 hex>[/subfolder]` (read from
the local Hugging Face cache, never downloaded here). All three end in a directory of safetensors
weights and configs that goes through the same loader; nothing falls back to random weights.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from curate.errors import MissingInput, ModelError, RecipeError
from curate.store.digest import file_sha256

Part = Literal["clip", "t5", "vae"]

BUILTIN: Final = Path(__file__).parent / "builtin"
CONFIG: Final[Mapping[Part, str]] = {
    "clip": "open_clip_config.json",
    "t5": "config.json",
    "vae": "config.json",
}
_FOLDERS: Final[Mapping[Part, str]] = {"clip": "clip", "t5": "text_encoder", "vae": "vae"}
_HASHED: Final = (".safetensors", ".json", ".model", ".txt")
_HUB = re.compile(r"hub:(?P<repo>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})(?:/(?P<folder>.+))?")


def resolve(ref: str, part: Part) -> Path:
    """The directory that holds the weights and config of `part`.

    A directory with a `model_index.json` (a diffusers pipeline) stands for its `text_encoder` or
    `vae`. Raises MissingInput if there is no such directory, ModelError if it lacks its config or
    safetensors weights, RecipeError for a hub reference without a pinned revision.
    """
    if ref.startswith("builtin:"):
        path = _builtin(ref, part)
    elif ref.startswith("hub:"):
        path = _hub(ref)
    else:
        path = Path(ref).expanduser()
    if not path.is_dir():
        raise MissingInput(
            f"model {ref!r}: no directory {path}; give the folder of the {part} weights"
        )
    if (path / "model_index.json").is_file():
        path = path / _FOLDERS[part]
    _check(path, ref, part)
    return path


def digest(path: Path) -> str:
    """Lower-case hex sha256 over the weights, configs and tokenizer files of a model directory.

    Covers names and contents, not the place: a copy elsewhere has the same digest.
    """
    whole = hashlib.sha256()
    files = sorted(_files(path).items())
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        hashes = list(pool.map(_hash_of, [file for _, file in files]))
    for (name, _), told in zip(files, hashes, strict=True):
        whole.update(f"{name}\0{told}\n".encode())
    return whole.hexdigest()


def read_config(path: Path, name: str) -> dict[str, Any]:
    """One JSON config of a model directory; raises ModelError if it is damaged."""
    file = path / name
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} is not a readable JSON config: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{file} holds {type(config).__name__}, expected a JSON object")
    return config


def tokenizer_dir(path: Path) -> Path:
    """Where the tokenizer of a text encoder lies: beside the weights, or the pipeline's sibling."""
    sibling = path.parent / "tokenizer"
    return sibling if path.name == "text_encoder" and sibling.is_dir() else path


def _builtin(ref: str, part: Part) -> Path:
    root = BUILTIN / ref.removeprefix("builtin:")
    if root.parent != BUILTIN or not root.is_dir():
        known = ", ".join(sorted(f"builtin:{p.name}" for p in BUILTIN.glob("*") if p.is_dir()))
        raise MissingInput(f"model {ref!r}: no such builtin model; there is {known or 'none'}")
    return root / part


def _hub(ref: str) -> Path:
    match = _HUB.fullmatch(ref)
    if match is None:
        raise RecipeError(
            f"model {ref!r}: a hub model is named hub:org/name@REVISION with the full commit hash "
            "(40 hexadecimal digits), so that the same recipe stays the same model"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    repo, revision, folder = match["repo"], match["revision"], match["folder"] or "."
    try:
        root = snapshot_download(repo, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError as error:
        raise MissingInput(
            f"model {ref!r} is not in the local Hugging Face cache; fetch it once with: "
            f"hf download {repo} --revision {revision}"
        ) from error
    if ".." in Path(folder).parts:
        raise RecipeError(f"model {ref!r}: the subfolder must lie inside the repository")
    return Path(root) / folder


def _check(path: Path, ref: str, part: Part) -> None:
    config = path / CONFIG[part]
    if not config.is_file():
        raise ModelError(
            f"model {ref!r}: {config} is missing, so {path} is not a {part} model directory"
        )
    if any(path.glob("*.safetensors")):
        return
    pickled = sorted(
        p.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for p in path.glob(pattern)
    )
    if pickled:
        raise ModelError(
            f"model {ref!r}: {path} has weights only as {', '.join(pickled)}, and pickles are not "
            "loaded; convert them to safetensors"
        )
    raise ModelError(f"model {ref!r}: {path} has a config but no *.safetensors weights")


def _files(path: Path) -> dict[str, Path]:
    files = {p.name: p for p in path.iterdir() if p.suffix in _HASHED and p.is_file()}
    words = tokenizer_dir(path)
    if words != path:
        files |= {f"tokenizer/{p.name}": p for p in words.iterdir() if p.suffix in _HASHED}
    return files


def _hash_of(file: Path) -> str:
    stat = file.stat()
    return _sha256(file, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256(file: Path, size: int, modified_ns: int) -> str:
    """Hash of one file; size and time are in the cache key, so a changed file is read again."""
    return file_sha256(file)
