"""YAML with line numbers, `--set` overrides, and validation errors a person can act on."""

from __future__ import annotations

import difflib
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from curate.errors import RecipeError

Lines = dict[tuple[Any, ...], int]


def load_yaml(text: str, origin: str) -> tuple[Any, Lines]:
    """Plain values of a YAML text and the line (from 1) of each path in it.

    Safe loader only. Raises RecipeError with the line for anything that is not YAML, and for keys
    given twice (YAML would silently take the last).
    """
    lines: Lines = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise RecipeError(f"{origin}{where}: not valid YAML: {error}") from error
    if node is not None:
        _collect(node, (), lines, origin)
    if not isinstance(value, dict):
        raise RecipeError(f"{origin}: expected a mapping of settings, found {type(value).__name__}")
    return value, lines


def _collect(node: yaml.Node, path: tuple[Any, ...], lines: Lines, origin: str) -> None:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                raise RecipeError(f"{origin}, line {line}: {name!r} is given twice")
            seen.add(name)
            _collect(value, (*path, name), lines, origin)
            lines[(*path, name)] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect(value, (*path, index), lines, origin)


def override(value: dict[str, Any], setting: str) -> None:
    """Apply `a.b.c=value` in place; the value is read as YAML.

    A segment in a list is an index, or the `layer` or `kind` of an item:
    `passes.images.stages.resolution.min_side=64`. Raises RecipeError if the path is not there.
    """
    path, equals, text = setting.partition("=")
    if not equals or not path:
        raise RecipeError(f"--set {setting!r}: write it as path.to.field=value")
    *parents, last = path.split(".")
    here: Any = value
    for segment in parents:
        here = _step(here, segment, setting)
    try:
        new = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"--set {setting!r}: {text!r} is not a YAML value") from error
    if isinstance(here, list):
        here[_index(here, last, setting)] = new
    elif isinstance(here, dict):
        here[last] = new
    else:
        raise RecipeError(f"--set {setting!r}: {'.'.join(parents)} is not a mapping or a list")


def _step(here: Any, segment: str, setting: str) -> Any:
    if isinstance(here, list):
        return here[_index(here, segment, setting)]
    if isinstance(here, dict):
        if not isinstance(here.get(segment), dict | list):
            if here.get(segment) is not None:
                raise RecipeError(
                    f"--set {setting!r}: {segment!r} holds {here[segment]!r}, not a mapping"
                )
            here[segment] = {}
        return here[segment]
    raise RecipeError(f"--set {setting!r}: there is no {segment!r} in {here!r}")


def _index(items: list[Any], segment: str, setting: str) -> int:
    names = [(i.get("layer") or i.get("kind")) if isinstance(i, dict) else None for i in items]
    if segment in names:
        return names.index(segment)
    if segment.isdecimal() and int(segment) < len(items):
        return int(segment)
    known = ", ".join(str(name) for name in names if name)
    raise RecipeError(f"--set {setting!r}: no item {segment!r}; there are {known or len(items)}")


def explain(error: ValidationError, *, origin: str, lines: Lines, model: type[BaseModel]) -> str:
    """One line a mistake: file, line, path, what is wrong, what would be right."""
    told = []
    for item in error.errors():
        path = _plain_path(item["loc"], lines)
        line = next((lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in lines), None)
        name = ".".join(str(segment) for segment in path) or "the recipe"
        place = f"{origin}, line {line}" if line else origin
        told.append(f"{place}: {name}: {_reason(item, path, item['loc'], model)}")
    return "\n".join(dict.fromkeys(told))


def _plain_path(loc: tuple[Any, ...], lines: Lines) -> tuple[Any, ...]:
    """The location without pydantic's union tags: keep what leads to a place in the file."""
    path: tuple[Any, ...] = ()
    for position, segment in enumerate(loc):
        last = position == len(loc) - 1
        if (
            (*path, segment) in lines
            or isinstance(segment, int)
            or (last and isinstance(segment, str))
        ):
            path = (*path, segment)
    return path


def _reason(item: Any, path: tuple[Any, ...], loc: tuple[Any, ...], model: type[BaseModel]) -> str:
    kind, context = item["type"], item.get("ctx", {})
    if kind == "extra_forbidden":
        names = _fields_at(model, loc[:-1])
        return f"no such field; valid here: {', '.join(names)}{_closest(str(path[-1]), names)}"
    if kind == "union_tag_invalid":
        names = [n.strip(" '") for n in context.get("expected_tags", "").split(",")]
        return f"no such kind {context.get('tag')!r}; valid: {', '.join(names)}{_closest(str(context.get('tag')), names)}"
    if kind == "union_tag_not_found":
        return "`kind` is missing"
    if kind == "missing":
        return "is missing and has no default"
    return f"{item['msg']} (given: {str(item['input'])[:80]!r})"


def _closest(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _fields_at(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """Field names valid at a pydantic location, following fields, indices and union tags."""
    here: list[type[BaseModel]] = [model]
    for segment in loc:
        if isinstance(segment, int):
            continue
        tagged = [m for m in here if _tag(m) == segment]
        if tagged:
            here = tagged
            continue
        found = [m.model_fields[segment] for m in here if segment in m.model_fields]
        here = [m for field in found for m in _models(field)] or here
    return sorted({name for m in here for name in m.model_fields})


def _tag(model: type[BaseModel]) -> Any:
    field = model.model_fields.get("kind")
    return field.default if field is not None else None


def _models(field: FieldInfo) -> list[type[BaseModel]]:
    found: list[type[BaseModel]] = []
    todo: list[Any] = [field.annotation]
    while todo:
        kind = todo.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found.append(kind)
        todo.extend(get_args(kind))
    return found
