# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The results of a matrix as JUnit XML: a suite for each combination, for what reads such reports.

A case is an operation. Of tests there are those that the runner has reported in JUnit XML itself
and the worker has brought home, else the first that failed.
"""

from __future__ import annotations

import os
import re
import time
import typing as t
import xml.etree.ElementTree as ET

from .collect import excerpt
from .states import DONE, Entry, Index
from .verdict import is_bad, is_over, title, why, word

# Bytes of a report that is read, and tests that are taken over.
_REPORT_MOST, _CASES_MOST = 8 << 20, 20000
_NAME_MOST, _TEXT_MOST = 500, 8000
# XML 1.0 has no others, escaped or not.
_ODD = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|\x7f")
_DECLARES = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)


def render(index: Index, folder: str) -> bytes:
    """Return the XML for a matrix whose results are in ``folder``."""
    suites = ET.Element("testsuites", name=_clean(os.path.basename(os.path.normpath(folder))))
    for entry in index["combinations"]:
        suites.append(
            _suite(entry, title(entry, index["varying"]), os.path.join(folder, entry["id"]))
        )
    for name in ("tests", "failures", "errors", "skipped"):
        suites.set(name, str(sum(int(suite.get(name, "0")) for suite in suites)))
    suites.set("time", f"{sum(float(suite.get('time', '0')) for suite in suites):.3f}")
    ET.indent(suites)
    return ET.tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n"


def _suite(entry: Entry, name: str, home: str) -> ET.Element:
    suite = ET.Element("testsuite", name=_clean(name))
    if "since" in entry:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(entry["since"]))
        suite.set("timestamp", stamp)
    suite.set("time", f"{entry.get('seconds', 0):.3f}")
    if entry.get("host"):
        suite.set("hostname", _clean(str(entry["host"])))
    properties = ET.SubElement(suite, "properties")
    for axis, value in entry["axes"].items():
        ET.SubElement(properties, "property", name=_clean(axis), value=_clean(value))
    if entry["state"] == DONE:
        for operation in entry.get("operations") or []:
            suite.append(_operation(entry, operation, name, home))
        for case in _tests(entry, name, home):
            suite.append(case)
    whole = _whole(entry, name)
    if whole is not None:
        suite.append(whole)
    for kind, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(sum(case.find(element) is not None for case in suite.iter("testcase"))))
    suite.set("tests", str(sum(1 for _case in suite.iter("testcase"))))
    return suite


def _case(suite: str, name: str, seconds: float | None = None) -> ET.Element:
    case = ET.Element("testcase", classname=_clean(suite), name=_clean(name))
    if seconds is not None:
        case.set("time", f"{seconds:.3f}")
    return case


def _whole(entry: Entry, name: str) -> ET.Element | None:
    """A case for a combination whose operations do not tell what has become of it."""
    failed = any(
        each["status"] in ("error", "abort", "abnormal") for each in entry.get("operations") or []
    )
    if is_bad(entry) and not failed:
        case = _case(name, "task")
        ET.SubElement(case, "error", message=_clean(why(entry) or word(entry)), type=word(entry))
        return case
    if not is_over(entry) or entry["state"] == "cancelled":
        case = _case(name, "task")
        ET.SubElement(case, "skipped", message=_clean(str(entry.get("reason") or word(entry))))
        return case
    return None if entry.get("operations") else _case(name, "task")


def _operation(entry: Entry, operation: t.Mapping[str, str], name: str, home: str) -> ET.Element:
    case = _case(name, operation["operation"])
    status = operation["status"]
    if status == "skip":
        ET.SubElement(case, "skipped", message="not begun, as an operation before has failed")
    elif status in ("error", "abort", "abnormal"):
        found = entry.get("first_error") or {}
        line = found["line"] if found.get("operation") == operation["operation"] else status
        kind = "failure" if status == "error" else "error"
        failure = ET.SubElement(case, kind, message=_clean(line), type=status)
        failure.text = _clean("\n".join(excerpt(home, operation["log"])), _TEXT_MOST)
    tests = (entry.get("tests") or {}).get(operation["operation"])
    if tests:
        said = ", ".join(f"{tests[kind]} {kind}" for kind in ("passed", "failed", "skipped"))
        ET.SubElement(case, "system-out").text = said
    return case


def _tests(entry: Entry, name: str, home: str) -> list[ET.Element]:
    """The tests that are known by name."""
    cases = _reported(home)
    if not cases:
        for operation, tests in (entry.get("tests") or {}).items():
            failure = tests.get("first_failure")
            if failure:
                case = _case(f"{name}.{operation}", failure["name"] or "the first that failed")
                ET.SubElement(case, "failure", message="failed").text = _clean(
                    failure["text"], _TEXT_MOST
                )
                cases.append(case)
    return cases


def _reported(home: str) -> list[ET.Element]:
    """The cases in the runners' own reports, made anew: a guest has written them."""
    cases: list[ET.Element] = []
    for place, _folders, files in os.walk(os.path.join(home, "artifacts")):
        for file in sorted(files):
            if file.endswith(".xml") and len(cases) < _CASES_MOST:
                cases += _cases_in(os.path.join(place, file))
    return cases[:_CASES_MOST]


def _cases_in(path: str) -> list[ET.Element]:
    try:
        if os.path.islink(path) or os.stat(path).st_size > _REPORT_MOST:
            return []
        with open(path, "rb") as file:
            data = file.read(_REPORT_MOST)
        # What declares entities can grow without an end.
        top = None if _DECLARES.search(data) else ET.fromstring(data)
    except (OSError, ValueError, LookupError, ET.ParseError):
        return []
    if top is None or top.tag not in ("testsuites", "testsuite"):
        return []
    return [_copy(case) for case in top.iter("testcase")]


def _copy(given: ET.Element) -> ET.Element:
    seconds = given.get("time", "")
    known = re.fullmatch(r"\d{1,9}(?:\.\d{1,9})?", seconds)
    case = _case(
        given.get("classname", ""), given.get("name", ""), float(seconds) if known else None
    )
    for kind in ("failure", "error", "skipped"):
        found = given.find(kind)
        if found is not None:
            child = ET.SubElement(case, kind, message=_clean(found.get("message", "")))
            child.text = _clean(found.text or "", _TEXT_MOST)
            break
    return case


def _clean(text: str, most: int = _NAME_MOST) -> str:
    return _ODD.sub("\N{REPLACEMENT CHARACTER}", text)[:most]
