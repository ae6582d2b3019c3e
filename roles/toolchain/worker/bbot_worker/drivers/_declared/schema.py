# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be in bbot.yml, checked with the place of what is wrong."""

from __future__ import annotations

import re

from .document import Node, read

TYPE_CHECKING = False  # The module typing is slow to import.
if TYPE_CHECKING:
    from collections.abc import Iterable

NAME = "bbot.yml"
WHOLE = "whole"  # In timeout: all operations together.

_KEYS = (
    "artifacts",
    "driver",
    "environment",
    "junit",
    "matrix",
    "operations",
    "packages",
    "requirements",
    "steps",
    "timeout",
)
_STEP_KEYS = ("directory", "environment", "run", "timeout")
_OPERATION = re.compile("[a-z][a-z0-9-]*")
_VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]*(?::[a-z0-9-]+)?(?:=[A-Za-z0-9.+:~-]+)?")
_SECONDS_MOST = 10**7


class Step:
    """A command for a shell, where to run it, with what, and for how many seconds at most."""

    def __init__(
        self, run: str, directory: str = "", environment: dict[str, str] | None = None
    ) -> None:
        self.run = run
        self.directory = directory
        self.environment = environment or {}
        self.timeout: int | None = None


class Declaration:
    """What bbot.yml says. Raises WorkerError with file, line and column for what it may not."""

    def __init__(self, data: bytes, drivers: Iterable[str]) -> None:
        top = read(NAME, data)
        if not isinstance(top.value, dict):
            top.fail("a mapping is expected, such as 'steps:'")
        _check_names(top, _KEYS, "key")
        fields = top.fields
        self.driver = _choice(fields.get("driver"), ["auto", *drivers])
        self.operations = _names(fields.get("operations"), _OPERATION, "operation")
        self.packages = _names(fields.get("packages"), _PACKAGE, "package")
        self.requirements = _texts(fields.get("requirements"))
        self.artifacts = _texts(fields.get("artifacts"))
        self.junit = _texts(fields.get("junit"))
        self.environment = _variables(fields.get("environment"))
        self.timeouts = _timeouts(fields.get("timeout"))
        self.matrix = _matrix(fields.get("matrix"))
        self.steps = _steps(fields.get("steps"))
        for node in _items(fields.get("artifacts")):
            if "," in node.text:
                node.fail("a pattern cannot have a comma")

    def timeout(self, operation: str) -> int | None:
        """Seconds for the operation, None for no limit of its own."""
        return self.timeouts.get(operation, self.timeouts.get(""))


def _check_names(node: Node, known: Iterable[str], kind: str) -> None:
    import difflib

    for name, value in node.fields.items():
        if name not in known:
            close = difflib.get_close_matches(name, list(known), n=1)
            hint = f"did you mean '{close[0]}'? " if close else ""
            value.key.fail(f"unknown {kind} '{name[:80]}': {hint}known are {', '.join(known)}")


def _items(node: Node | None) -> list[Node]:
    """The nodes of a list; a single scalar is one of one."""
    if node is None:
        return []
    if node.is_text:
        return [node]
    if not isinstance(node.value, list):
        node.fail("a list is expected")
    return node.items


def _texts(node: Node | None) -> list[str]:
    found = []
    for item in _items(node):
        if not item.text.strip() or "\n" in item.text:
            item.fail("a line of text is expected")
        found.append(item.text)
    return found


def _names(node: Node | None, pattern: re.Pattern[str], kind: str) -> list[str]:
    found: list[str] = []
    for item in _items(node):
        if not pattern.fullmatch(item.text):
            item.fail(
                f"'{item.text[:80]}' is no name of an {kind}".replace("an package", "a package")
            )
        if item.text in found:
            item.fail(f"{kind} '{item.text}' is here twice")
        found.append(item.text)
    return found


def _choice(node: Node | None, known: list[str]) -> str:
    if node is None:
        return ""
    if node.text not in known:
        import difflib

        close = difflib.get_close_matches(node.text, known, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        node.fail(f"unknown driver '{node.text[:80]}': {hint}known are {', '.join(known)}")
    return node.text


def _variables(node: Node | None) -> dict[str, str]:
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        node.fail("a mapping of variables to values is expected")
    for name, value in node.fields.items():
        if not _VARIABLE.fullmatch(name) or name.startswith("BBOT_"):
            value.key.fail(f"'{name[:80]}' cannot be a variable here")
        if not value.is_text or "\0" in value.text:
            value.fail("a text or number is expected")
    return {name: value.text for name, value in node.fields.items()}


def _seconds(node: Node) -> int:
    if not re.fullmatch("[0-9]{1,8}", node.text) or not 0 < int(node.text) <= _SECONDS_MOST:
        node.fail("a whole number of seconds is expected")
    return int(node.text)


def _timeouts(node: Node | None) -> dict[str, int]:
    """Seconds by operation; of all others with an empty name, of all together as ``whole``."""
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        return {"": _seconds(node)}
    for name, value in node.fields.items():
        if not _OPERATION.fullmatch(name):
            value.key.fail(f"'{name[:80]}' is no name of an operation")
    return {name: _seconds(value) for name, value in node.fields.items()}


def _matrix(node: Node | None) -> dict[str, list[str]]:
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        node.fail("a mapping of variables to lists of values is expected")
    found = {}
    for name, value in node.fields.items():
        if not _VARIABLE.fullmatch(name) or name.startswith("BBOT_"):
            value.key.fail(f"'{name[:80]}' cannot be a variable here")
        found[name] = _texts(value)
        if not found[name]:
            value.fail("there must be at least one value")
    return found


def _steps(node: Node | None) -> dict[str, list[Step]]:
    if node is None:
        return {}
    if not isinstance(node.value, dict):
        node.fail("a mapping of operations to lists of commands is expected")
    found = {}
    for name, value in node.fields.items():
        if not _OPERATION.fullmatch(name):
            value.key.fail(f"'{name[:80]}' is no name of an operation")
        found[name] = _steps_of(value)
    return found


def _steps_of(node: Node) -> list[Step]:
    """The steps of an operation: a command, a mapping with ``run``, or a list of these."""
    if isinstance(node.value, list):
        return [step for item in node.items for step in _steps_of_item(item)]
    return _steps_of_item(node)


def _steps_of_item(node: Node) -> list[Step]:
    if node.is_text:
        return [Step(_command(node))]
    if not isinstance(node.value, dict):
        node.fail("a command is expected, or a mapping with 'run'")
    _check_names(node, _STEP_KEYS, "key")
    fields = node.fields
    if "run" not in fields:
        node.fail("there is no 'run'")
    steps = [
        Step(
            _command(item),
            _directory(fields.get("directory")),
            _variables(fields.get("environment")),
        )
        for item in _items(fields["run"])
    ]
    if "timeout" in fields:
        for step in steps:
            step.timeout = _seconds(fields["timeout"])
    return steps


def _command(node: Node) -> str:
    if not node.text.strip() or "\0" in node.text:
        node.fail("a command is expected")
    return node.text


def _directory(node: Node | None) -> str:
    if node is None:
        return ""
    parts = node.text.split("/")
    if not node.text or node.text.startswith("/") or ".." in parts:
        node.fail("a folder of the sources is expected")
    return node.text
