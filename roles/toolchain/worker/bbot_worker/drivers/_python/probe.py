# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the driver asks an interpreter of the machine: run by that one, as the build user.

    python -I -c <this text> <question> <its arguments as JSON>

The answer is JSON in the last line. Nothing of the worker can be imported here.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

_METADATA_MOST = 4 << 20
_TEST_FOLDERS = {"test", "tests", "testing"}


def modules(names: list[str]) -> list[str]:
    """Return those of the modules that could be imported."""
    import importlib.util

    return [name for name in names if importlib.util.find_spec(name) is not None]


def unmet(requirements: list[str], extras: list[str]) -> list[dict[str, str]]:
    """Return the requirements that installed packages do not meet, those of packages included.

    Each with the ``version`` that is installed instead, empty for none, and ``of``, the package
    that wants it, empty for the project itself, whose *extras* are wanted, too.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    requirement_class = _packaging("requirements").Requirement
    found: list[dict[str, str]] = []
    seen: set[str] = set()
    queue = [(text, extra, "") for text in requirements for extra in ["", *extras]]
    while queue:
        text, extra, parent = queue.pop(0)
        key = f"{text}|{extra}"
        if key in seen:
            continue
        seen.add(key)
        requirement = requirement_class(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": extra}):
            continue
        try:
            installed = distribution(requirement.name)
            version = installed.version
        except PackageNotFoundError:
            version = None
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            wanted = f"{requirement.name}{_in_brackets(requirement.extras)}{requirement.specifier}"
            entry = {"requirement": wanted, "version": version or "", "of": parent}
            if entry not in found:  # An extra may name again what another one names.
                found.append(entry)
            continue
        for extra in ["", *sorted(requirement.extras)]:
            queue += [(each, extra, requirement.name) for each in installed.requires or []]
    return found


def _in_brackets(extras: set[str]) -> str:
    return f"[{','.join(sorted(extras))}]" if extras else ""


def wheel(path: str) -> dict[str, Any]:
    """Return name, version, requirements and extras of a wheel."""
    import zipfile
    from email.parser import HeaderParser

    with zipfile.ZipFile(path) as archive:
        (name,) = (
            name
            for name in archive.namelist()
            if name.endswith(".dist-info/METADATA") and name.count("/") == 1
        )
        with archive.open(name) as file:
            text = file.read(_METADATA_MOST).decode("utf-8", "replace")
    headers = HeaderParser().parsestr(text)
    return {
        "name": headers["Name"] or "",
        "version": headers["Version"] or "",
        "requires": headers.get_all("Requires-Dist") or [],
        "extras": headers.get_all("Provides-Extra") or [],
    }


def same_version(one: str, other: str) -> bool:
    """Return whether two versions are the same, however they are written."""
    version = _packaging("version")
    try:
        return bool(version.Version(one) == version.Version(other))
    except version.InvalidVersion:
        return one == other


def index() -> str:
    """Return the address of the package index that pip would use, empty if it is to use none."""
    import configparser

    from pip._internal.models.index import PyPI

    if os.environ.get("PIP_INDEX_URL"):
        return os.environ["PIP_INDEX_URL"]
    home = os.path.expanduser("~")
    parser = configparser.RawConfigParser()
    places = ("/etc/xdg/pip/pip.conf", "/etc/pip.conf", f"{home}/.config/pip/pip.conf")
    parser.read([*places, os.environ.get("PIP_CONFIG_FILE") or os.devnull], "utf-8")
    if parser.has_section("global"):
        if parser["global"].get("no-index", "").lower() in ("1", "true", "yes", "on"):
            return ""
        return parser["global"].get("index-url") or str(PyPI.simple_url)
    return str(PyPI.simple_url)


def answers(address: str) -> bool:
    """Return whether a package index answers, whatever it has to say, within some seconds."""
    import signal
    import urllib.error
    import urllib.request

    signal.alarm(10)  # Whatever hangs, names that nobody resolves included.
    try:
        with urllib.request.urlopen(f"{address.rstrip('/')}/pip/", timeout=4) as answer:
            answer.read(1)
    except urllib.error.HTTPError:
        return True
    except Exception:
        return False
    return True


def settle(source: str, name: str, folders: list[str]) -> list[str]:
    """Have packages in the sources be what was installed, so that tests see nothing else.

    For whatever the installed distribution *name* has at its top and one of the *folders* of the
    sources has, too, the files in the sources become those that were installed. Tests that stand
    within a package stay. Returns the paths that were changed.
    """
    from importlib.metadata import distribution

    installed = {}
    for file in distribution(name).files or []:
        parts = file.parts
        if ".." in parts or file.is_absolute() or parts[0].endswith((".dist-info", ".egg-info")):
            continue
        if "__pycache__" not in parts:
            installed[os.path.join(*parts)] = str(file.locate())
    changed = []
    for folder in folders:
        for top in sorted({path.partition(os.sep)[0] for path in installed}):
            place = os.path.join(source, folder, top)
            if os.path.islink(place) or not os.path.exists(place):
                continue
            changed.append(os.path.normpath(os.path.join(folder, top)))
            for path in list(_files(place)):
                relative = os.path.relpath(path, os.path.join(source, folder))
                if relative not in installed and not _is_of_tests(relative):
                    os.unlink(path)
            for relative, origin in installed.items():
                if relative.partition(os.sep)[0] == top:
                    _replace(os.path.join(source, folder, relative), origin)
    return changed


def _files(place: str) -> Iterator[str]:
    if not os.path.isdir(place):
        yield place
    for folder, _folders, names in os.walk(place):
        for name in names:
            yield os.path.join(folder, name)


def _is_of_tests(path: str) -> bool:
    *folders, name = path.split(os.sep)
    return (
        any(folder in _TEST_FOLDERS for folder in folders)
        or name == "conftest.py"
        or (name.startswith("test_") and name.endswith(".py"))
        or name.endswith("_test.py")
    )


def _replace(path: str, origin: str) -> None:
    import shutil

    if not os.path.isfile(origin):
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if os.path.lexists(path):
        os.unlink(path)
    shutil.copy2(origin, path)


def _packaging(name: str) -> Any:
    """A module of packaging, or of the copy of it that comes with pip."""
    import importlib

    try:
        return importlib.import_module(f"packaging.{name}")
    except ImportError:
        return importlib.import_module(f"pip._vendor.packaging.{name}")


QUESTIONS: dict[str, Callable[..., Any]] = {
    "modules": modules,
    "unmet": unmet,
    "wheel": wheel,
    "same_version": same_version,
    "index": index,
    "answers": answers,
    "settle": settle,
}

if __name__ == "__main__":
    sys.stdout.write("\n" + json.dumps(QUESTIONS[sys.argv[1]](*json.loads(sys.argv[2]))) + "\n")
