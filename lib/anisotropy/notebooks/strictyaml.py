"""A flat YAML mapping with the line of every name: duplicates, tabs and anything but plain values are refused.

PyYAML by itself keeps the last of two equal keys and says nothing, and gives no line once a file is loaded. Only the
safe constructors are used, so a file can make plain values and nothing else.
"""

from typing import Any

import yaml


class YamlError(ValueError):
    """A file that is no flat mapping of names to plain values; the message names file and line."""


def read(content: bytes, shown: str) -> dict[str, tuple[Any, int]]:
    """Names of a mapping with their values and line numbers (from 1).

    Args:
        content: the file.
        shown: its name for messages.

    Raises:
        YamlError: syntax (a tab among it), no mapping at the top, a key that is no name or
            comes twice, an alias, a date.
    """
    try:
        for event in yaml.parse(content, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few of them can stand for gigabytes, or for themselves
                raise YamlError(
                    f"{shown}, line {event.start_mark.line + 1}: write the value itself, not *{event.anchor}"
                )
        loader = yaml.SafeLoader(content)
        node = loader.get_single_node()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise YamlError(_message(error, content, shown)) from error
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise YamlError(f"{shown}, line {node.start_mark.line + 1}: expected lines `name: value`")
    found: dict[str, tuple[Any, int]] = {}
    try:
        for key, value in _pairs(node, shown):
            line = key.start_mark.line + 1
            name = loader.construct_object(key, deep=True)
            if not isinstance(name, str) or not name.isidentifier():
                raise YamlError(f"{shown}, line {line}: expected a parameter name, got {key.value!r}")
            if name in found:
                raise YamlError(f"{shown}, line {line}: {name!r} is given twice (first in line {found[name][1]})")
            found[name] = (_plain(loader.construct_object(value, deep=True), name, line, shown), line)
    except yaml.YAMLError as error:
        raise YamlError(_message(error, content, shown)) from error
    return found


def _pairs(node: yaml.MappingNode, shown: str) -> list[tuple[yaml.Node, yaml.Node]]:
    """Key and value nodes; nested mappings are walked first, because the constructor merges equal keys silently."""
    waiting = [value for _, value in node.value]
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, yaml.MappingNode):
            seen = set()
            for key, value in inner.value:
                if key.value in seen if isinstance(key.value, str) else False:
                    raise YamlError(f"{shown}, line {key.start_mark.line + 1}: {key.value!r} is given twice")
                seen.add(key.value if isinstance(key.value, str) else None)
                waiting.append(value)
        elif isinstance(inner, yaml.SequenceNode):
            waiting.extend(inner.value)
    return node.value


def _plain(value: Any, name: str, line: int, shown: str) -> Any:
    """Only what papermill writes as a literal that reads back equal."""
    if isinstance(value, list):
        return [_plain(v, name, line, shown) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v, name, line, shown) for k, v in value.items()}
    if value is not None and type(value) not in (bool, int, float, str):
        raise YamlError(
            f"{shown}, line {line}: {name}: expected a number, text, true, false or a list, got {value!r}; "
            "put it in quotes if it is text"
        )
    return value


def _message(error: Exception, content: bytes, shown: str) -> str:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"{shown}: not readable as YAML in UTF-8: {error}"
    line = content.splitlines()[mark.line : mark.line + 1]
    if line and b"\t" in line[0]:
        return f"{shown}, line {mark.line + 1}: a tab; YAML wants spaces"
    return f"{shown}, line {mark.line + 1}: {getattr(error, 'problem', None) or error}"
