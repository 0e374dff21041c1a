"""A summary of training content as Markdown: the JSON value, section by section, saying the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from curate.provenance.markdown import inline


def markdown(value: Mapping[str, Any]) -> str:
    """The whole summary; its sections become headings, everything below them lists."""
    lines = ["# Summary of training content", "", f"{inline(value['template'])}.", ""]
    lines += [f"It covers {inline(value['covers'])}. Nothing here is legal advice.", ""]
    for title, section in value.items():
        if title[:1].isdigit():
            lines += [f"## {inline(title)}", "", *_section(section)]
    return "\n".join(lines).rstrip() + "\n"


def _section(section: Mapping[str, Any]) -> Iterator[str]:
    for title, content in section.items():
        yield f"### {inline(title)}"
        yield ""
        yield from _items(content, 0)
        yield ""


def _items(content: Any, depth: int) -> Iterator[str]:
    """A mapping or list as nested bullets; anything else as one line."""
    pad = "  " * depth
    if isinstance(content, Mapping):
        for name, inner in content.items():
            if _is_leaf(inner):
                yield f"{pad}- {inline(str(name))}: {_leaf(inner)}"
            else:
                yield f"{pad}- {inline(str(name))}:"
                yield from _items(inner, depth + 1)
    elif isinstance(content, Sequence) and not isinstance(content, str):
        for inner in content:
            if isinstance(inner, Mapping):
                told = ", ".join(f"{inline(str(n))} {_leaf(v)}" for n, v in inner.items())
                yield f"{pad}- {told}"
            else:
                yield f"{pad}- {_leaf(inner)}"
    else:
        yield f"{pad}{_leaf(content)}"


def _is_leaf(value: Any) -> bool:
    return not isinstance(value, Mapping | list) or not value


def _leaf(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if value is None or value in ({}, []):
        return "none"
    return inline(str(value))
