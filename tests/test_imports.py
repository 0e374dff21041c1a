"""Dependencies point one way, heavy packages stay where they are used, help stays fast."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "curate"
ORDER = [
    {"columns", "errors", "license", "store", "images", "memory"},
    {"stage", "yaml_lines"},
    {"models", "sources", "fetch", "bench.result"},
    {"stages", "train.settings", "cluster"},
    {"recipe"},
    {
        "ranges",
        "shards",
        "plan",
        "publish",
        "record",
        "engine",
        "checks",
        "rates",
        "workers",
        "ray_pool",
        "watch",
        "forecast",
        "progress",
        "schemas",
    },
    {"provenance", "report", "train", "deploy", "bench"},
    {"commands", "license_command", "bench_command", "forecast_command", "sources_docs", "demo"},
    {"provenance_commands", "cli_types"},
    {"cli_provenance"},
    {"cli"},
]
HEAVY = {"torch", "transformers", "diffusers", "open_clip", "img2dataset", "ray"}
RAY = {"ray_pool.py", "train/", "deploy/launch.py"}


def rank(module: str) -> int:
    """Place in ORDER: of the module's own name if it is there, else of the package it is in."""
    for name in (module, module.split(".")[0]):
        for place, names in enumerate(ORDER):
            if name in names:
                return place
    raise AssertionError(f"curate.{module} has no place in the order: give it one")


def imports(path: Path) -> list[tuple[str, int, bool]]:
    """(module, line, at the top of the module) of every import, type-checking blocks left out."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
            if node.module == "curate":
                names = [f"curate.{alias.name}" for alias in node.names]
        found += [(name, node.lineno, id(node) in top) for name in names]
    return found


FILES = sorted(p for p in ROOT.rglob("*.py") if p.name != "__init__.py" or p.parent != ROOT)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    relative = path.relative_to(ROOT)
    own = ".".join(relative.with_suffix("").parts).removesuffix(".__init__")
    for name, line, at_top in imports(path):
        if name.startswith("curate."):
            target = name.removeprefix("curate.")
            same = target.split(".")[0] == own.split(".")[0]
            assert same or rank(target) <= rank(own), (
                f"{relative}:{line} imports {name}, which is above it"
            )
        package = name.split(".")[0]
        assert not (package in HEAVY and at_top), f"{relative}:{line} imports {package} at the top"
        if package == "ray":
            assert any(str(relative).startswith(place) for place in RAY), (
                f"{relative}:{line} imports ray"
            )


def test_help_imports_neither_arrow_nor_pydantic() -> None:
    code = (
        "import sys; sys.argv=['curate','--help']\n"
        "from curate.cli import main\n"
        "try: main()\n"
        "except SystemExit as e: assert not e.code, e.code\n"
        "bad = sorted(m for m in ('pyarrow','pydantic','torch','ray','numpy','PIL') if m in sys.modules)\n"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
