# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A YAML document as nodes that know where they stand. Nothing in it is trusted.

Read from the events of PyYAML's parser, which neither recurses nor makes objects. Scalars are kept
as they are written, so that a version 1.10 stays one; anchors, aliases and tags are refused, as
none is needed and each could multiply or become something else.
"""

from __future__ import annotations

from ...errors import WorkerError
from ..tree import use_packages

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

SIZE_MOST = 64 << 10
_DEPTH_MOST = 12


class Node:
    """A scalar (``value`` is text), a list (of nodes), or a mapping (of names to nodes).

    What is in a mapping has its name as ``key``.
    """

    def __init__(self, name: str, mark: Any, value: Any = "") -> None:
        self._name = name
        self._mark = mark
        self.key = self
        self.value: str | list[Node] | dict[str, Node] = value

    @property
    def is_text(self) -> bool:
        return isinstance(self.value, str)

    @property
    def items(self) -> list[Node]:
        """The nodes of a list, none of anything else."""
        return self.value if isinstance(self.value, list) else []

    @property
    def fields(self) -> dict[str, Node]:
        """The nodes of a mapping, none of anything else."""
        return self.value if isinstance(self.value, dict) else {}

    @property
    def text(self) -> str:
        """The text of a scalar, empty for anything else."""
        return self.value if isinstance(self.value, str) else ""

    def fail(self, message: str) -> NoReturn:
        """Raise WorkerError with the place of this node."""
        raise _error(self._name, self._mark, message)


def read(name: str, data: bytes) -> Node:
    """Return the node at the top of the document in the file *name*. Raises WorkerError."""
    if len(data) > SIZE_MOST:
        raise WorkerError(f"{name} is larger than {SIZE_MOST >> 10} KiB")
    use_packages()
    try:
        import yaml
    except ImportError:
        raise WorkerError(
            f"{name} cannot be read: this machine's Python has no module yaml (Debian's "
            "python3-yaml)"
        ) from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise WorkerError(f"{name} is not in UTF-8: byte {error.start}") from None
    try:
        return _build(name, yaml, iter(yaml.parse(text, Loader=yaml.SafeLoader)))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _error(name, mark, error.problem or "this is no YAML") from None
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise WorkerError(f"{name} cannot be read: {str(error).splitlines()[0]}") from None


def _error(name: str, mark: Any, message: str) -> WorkerError:
    place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
    return WorkerError(f"{name}{place}: {message}")


def _build(name: str, yaml: Any, events: Iterator[Any]) -> Node:
    """Put the events' document together."""
    top: Node | None = None
    # The lists and mappings that are open, each with the key that waits for its value.
    opened: list[tuple[Node, list[Node]]] = []
    for event in events:
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _error(name, mark, "anchors and aliases are not allowed here")
        if isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
            opened.pop()
            continue
        if isinstance(event, yaml.ScalarEvent):
            node = Node(name, mark, event.value)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = Node(name, mark, [])
        elif isinstance(event, yaml.MappingStartEvent):
            node = Node(name, mark, {})
        elif isinstance(event, yaml.DocumentStartEvent) and top is not None:
            raise _error(name, mark, "there may be only one document")
        else:
            continue
        if getattr(event, "tag", None) is not None:
            node.fail(f"the tag {str(event.tag)[:80]} is not allowed here")
        if opened:
            _put(*opened[-1], node)
        else:
            top = node
        if not node.is_text:
            opened.append((node, []))
            if len(opened) > _DEPTH_MOST:
                node.fail(f"this is nested more than {_DEPTH_MOST} levels deep")
    return top if top is not None else Node(name, None, {})


def _put(parent: Node, keys: list[Node], node: Node) -> None:
    """Put a node into a list, or into a mapping as a key or the value for the key before it."""
    if isinstance(parent.value, list):
        parent.value.append(node)
    elif not keys:
        if not node.is_text:
            node.fail("a name is expected here")
        if node.text in parent.fields:
            node.fail(f"'{node.text}' is here twice")
        keys.append(node)
    else:
        node.key = keys.pop()
        parent.fields[node.key.text] = node
