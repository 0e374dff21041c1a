"""The pages beside the shards are under the audit too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from curate.provenance.audit import audit
from curate.provenance.pages import PAGES, REPORT, SEAL, seal
from curate.store.dataset import Dataset


def problems(root: Path, *, hashes: bool = True) -> str:
    return "\n".join(audit(root, hashes=hashes).problems)


def test_pages_as_written_pass(demo_copy: Path) -> None:
    assert problems(demo_copy) == ""
    assert all((demo_copy / name).is_file() for name in (*PAGES, REPORT))


@pytest.mark.parametrize("name", [*PAGES, REPORT, SEAL])
def test_a_flipped_byte_in_a_page_is_named(demo_copy: Path, name: str) -> None:
    data = bytearray((demo_copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (demo_copy / name).write_bytes(bytes(data))
    assert name in problems(demo_copy)


@pytest.mark.parametrize("name", [*PAGES, REPORT])
def test_a_page_that_is_gone_is_named_without_hashing(demo_copy: Path, name: str) -> None:
    (demo_copy / name).unlink()
    assert f"{name} is missing" in problems(demo_copy, hashes=False)


def test_a_credit_with_another_licence_is_found_even_when_it_is_sealed_again(
    demo_copy: Path,
) -> None:
    text = (demo_copy / "ATTRIBUTION.csv").read_text()
    assert "CC-BY-SA-4.0" in text
    (demo_copy / "ATTRIBUTION.csv").write_text(text.replace("CC-BY-SA-4.0", "CC0-1.0"))
    seal(Dataset.open(demo_copy))
    assert "ATTRIBUTION.csv does not say what the dataset says" in problems(demo_copy)


def test_pages_of_another_version_are_named(demo_copy: Path) -> None:
    body = json.loads((demo_copy / SEAL).read_text())
    (demo_copy / SEAL).write_text(json.dumps(body | {"manifest_digest": "0" * 64}))
    found = problems(demo_copy)
    assert "was edited" in found
    assert "another version" in found
