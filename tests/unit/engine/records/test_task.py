# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks: both forms, what an agent changes, what people write."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.model import (
    Manifest,
    ManifestError,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.manifest.writer import (
    serialize,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.task import Task
from hypothesis import given, settings
from hypothesis import strategies as st

FINGERPRINT = ":".join(["0B", "a5"] * 16)
OLD = f""": 1
name: libhello
version: 1.0.0+2
repository: https://pkg.example.org/1/stable
trust: {FINGERPRINT}
machine: windows_10-msvc_14
target: x86_64-microsoft-win32-msvc14.0
config: config.cc.coptions="-O2 -Zi"
warning-regex: ^.+\\(\\d+\\): warning C\\d+:
"""
NEW = """: 1
name: libhello
version: 1.2.0-a.0.20240310120000.0a1b2c3d4e5f
repository-url: https://git.example.org/hello.git#0a1b2c3d4e5f6071
repository-type: git
trust: yes
requires: c++14
tests: * libhello-tests == $
dependency-checksum: 3b5d5c37
machine: linux_debian_12-gcc_13
auxiliary-machine: x86_64-linux_debian_12-mysql_8
auxiliary-machine-pg: x86_64-linux_debian_12-postgresql_16
target: x86_64-linux-gnu
environment: gcc_13-O3
target-config: config.cc.coptions="-O3" config.bin.lib=shared
package-config: config.libhello.fancy=true
host: true
interactive: error
worker-checksum: 5
"""
MAPPING = {
    "name": "libhello",
    "version": "1.2.0-a.0.20240310120000.0a1b2c3d4e5f",
    "repository_url": "https://git.example.org/hello.git#0a1b2c3d4e5f6071",
    "repository_type": "git",
    "trust": ["yes"],
    "requires": ["c++14"],
    "tests": ["* libhello-tests == $"],
    "dependency_checksum": "3b5d5c37",
    "machine": "linux_debian_12-gcc_13",
    "auxiliary_machine": ["x86_64-linux_debian_12-mysql_8"],
    "auxiliary_machine_pg": "x86_64-linux_debian_12-postgresql_16",
    "target": "x86_64-linux-gnu",
    "environment": "gcc_13-O3",
    "target_config": 'config.cc.coptions="-O3" config.bin.lib=shared',
    "package_config": "config.libhello.fancy=true",
    "host": True,
    "interactive": "error",
    "worker_checksum": "5",
}


CHECKSUM = "sha256:" + "0a" * 32


@pytest.mark.parametrize("key", ["repository_checksum", "repository-checksum"])
def test_the_checksum_of_the_sources(key: str) -> None:
    fields = {name: value for name, value in MAPPING.items() if name != "trust"}
    task = Task.from_mapping({**fields, key: CHECKSUM})
    assert task.repository_checksum == CHECKSUM
    line = f"repository-checksum: {CHECKSUM}\n"
    assert line in task.to_text(long_lines=True)
    # What was asked for is never left out, even if a worker of then cannot do it.
    assert line in serialize(task.to_manifest("2017"), long_lines=True)
    assert Task.parse(task.to_text(), strict=True).to_mapping()["repository_checksum"] == CHECKSUM


def test_form_of_2017() -> None:
    task = Task.parse(OLD, strict=True)
    assert task.repository_url == "https://pkg.example.org/1/stable"
    assert task.repository_type is None
    assert task.trust == (FINGERPRINT,)
    assert task.config_words == ["config.cc.coptions=-O2 -Zi"]
    assert task.warning_regexes == (r"^.+\(\d+\): warning C\d+:",)
    assert task.to_text(long_lines=True) == OLD
    assert serialize(task.to_manifest("2017"), long_lines=True) == OLD
    current = serialize(task.to_manifest("current"), long_lines=True)
    assert current == OLD.replace("repository:", "repository-url:").replace(
        "\nconfig:", "\ntarget-config:"
    )


def test_form_of_today() -> None:
    task = Task.parse(NEW, strict=True)
    assert task.auxiliary_machines == ("x86_64-linux_debian_12-mysql_8",)
    assert task.named_auxiliary_machines == {"pg": "x86_64-linux_debian_12-postgresql_16"}
    assert task.host is True
    assert task.to_text() == NEW
    assert serialize(task.to_manifest("current")) == NEW
    assert task.to_manifest("2017").names() == [
        "name",
        "version",
        "repository",
        "trust",
        "machine",
        "target",
        "config",
    ]


def test_only_what_an_agent_changes_changes() -> None:
    text = NEW.replace("trust: yes\n", "trust: yes\nfuture: 1\ntrust: yes\n") + "new: x\n"
    task = Task.parse(text)
    assert task.to_text() == text
    assert task.with_trust(["yes"]).to_text() == text.replace("future: 1\ntrust: yes", "future: 1")
    assert task.with_trust([]).to_text() == text.replace("trust: yes\n", "")
    more = task.with_trust([FINGERPRINT] * 3).to_text(long_lines=True)
    assert more == text.replace("trust: yes", f"trust: {FINGERPRINT}").replace(
        "requires:", f"trust: {FINGERPRINT}\nrequires:"
    )
    assert task.without_checksums().to_text() == text.replace(
        "dependency-checksum: 3b5d5c37\n", ""
    ).replace("worker-checksum: 5\n", "")
    environment = task.with_auxiliary_environment("PG_HOST=a\nPG_PORT=1")
    assert environment.to_text() == text.replace(
        "target-config:",
        "auxiliary-environment:\\\nPG_HOST=a\nPG_PORT=1\n\\\ntarget-config:",
    )
    assert environment.with_auxiliary_environment(None).to_text() == text


def test_trust_has_its_place_in_a_task_of_2017() -> None:
    text = OLD.replace(f"trust: {FINGERPRINT}\n", "")
    assert Task.parse(text).with_trust([FINGERPRINT]).to_text(long_lines=True) == OLD


REQUIRED = ": 1\nname: hello\nversion: 1\nrepository-url: x:\nmachine: m\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (": 1\nname: x\n", "2:7: error: invalid task name: 'x' is not a letter,"),
        (": 1\nname: con\n", "2:7: error: invalid task name: 'con' is a reserved name"),
        (": 1\nname: lpt3\n", "2:7: error: invalid task name: 'lpt3' is a reserved name"),
        (": 1\nname: hello\nversion: ~1\n", "3:10: error: invalid task version: '~1' has other"),
        (": 1\nname: hello\nversion: 1~\n", "3:10: error: invalid task version: '1~' has other"),
        (": 1\nname: hello\nversion: 1.2~1\n", "3:10: error: invalid task version: '1.2~1'"),
        (": 1\nname: hello-\n", "2:7: error: invalid task name: 'hello-' is not"),
        (": 1\nversion: 1 2\n", "2:10: error: invalid task version: '1 2' has other"),
        (": 1\nname: hello\n", "3:1: error: no task version specified"),
        (": 1\nname: hello\nversion: 1\n", "4:1: error: no task repository url specified"),
        (REQUIRED + "trust: no\n", "6:8: error: invalid task trust: 'yes' or 32 hexadecimal"),
        (
            REQUIRED + "repository-checksum: sha256:0A\n",
            "6:22: error: invalid task repository checksum: 'sha256:' and 64 lower-case",
        ),
        (REQUIRED + "host: 1\n", "6:7: error: invalid task host: '1' is neither 'true' nor"),
        (REQUIRED + "config: 'x\n", "6:9: error: invalid task config: unterminated quoted"),
        (REQUIRED + "repository: y:\n", "6:1: error: task repository redefinition"),
        (REQUIRED + "x: y\n", "6:1: error: unknown name 'x' in task manifest"),
        (
            REQUIRED + "auxiliary-machine-: y\n",
            "6:1: error: unknown name 'auxiliary-machine-' in task manifest",
        ),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Task.parse(text, "in", strict=True)
    assert str(caught.value).startswith(f"in:{message}")


def test_mappings() -> None:
    task = Task.parse(NEW)
    assert task.to_mapping() == MAPPING
    assert Task.from_mapping(MAPPING).to_text() == NEW
    dashed = {key.replace("_", "-"): value for key, value in MAPPING.items()}
    assert Task.from_mapping(dashed) == task


MINIMAL: dict[str, Any] = {
    "name": "hello",
    "version": "1.0",
    "repository": "tftp:",
    "machine": "debian",
}


def test_what_people_write() -> None:
    task = Task.from_mapping(
        {
            **MINIMAL,
            "trust": True,
            "tests": "hello-tests",
            "auxiliary-machine_my_db": "x",
            "config": ["a=b c", "d"],
            "host": False,
            "worker-checksum": 5,
            "target": None,
            "warning_regex": [],
        }
    )
    assert task.repository_url == "tftp:"
    assert task.trust == ("yes",)
    assert task.tests == ("hello-tests",)
    assert task.named_auxiliary_machines == {"my_db": "x"}
    assert task.config_words == ["a=b c", "d"]
    assert task.host is False
    assert task.worker_checksum == "5"
    assert task.target is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("machne", "x", "unknown field 'machne': did you mean 'machine'?"),
        ("zzz", "x", "unknown field 'zzz': see the list of fields of a task"),
        ("version", 1.10, "field 'version' is 1.1, a value of type float: put"),
        ("version", True, "field 'version' is True, a value of type bool: put"),
        ("trust", False, "field 'trust' is False, a value of type bool: put"),
        ("target", ["a"], "field 'target' is a list: it takes a single value"),
        ("target", {"a": "b"}, "field 'target' is {'a': 'b'}, a value of type dict: put"),
        ("name", None, "no task name specified"),
        ("name", "", "empty task name"),
        ("trust", ["maybe"], "invalid task trust: 'yes' or"),
    ],
)
def test_mistakes_of_people(field: str, value: Any, message: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Task.from_mapping({**MINIMAL, field: value}, where="task.yml")
    assert str(caught.value).startswith(f"task.yml: error: {message}")


@pytest.mark.parametrize("name", ["Con", "AUX", "Nul", "LPT3", "BUILD", "con2", "com10", "lpt0"])
def test_names_that_are_reserved_in_lower_case_only(name: str) -> None:
    assert Task.from_mapping({**MINIMAL, "name": name}).name == name


@pytest.mark.parametrize("version", ["1~1.2", "0~1.2+3", "12~1.2-a.1", "+1-1.2", "1.2+0"])
def test_versions_of_any_age(version: str) -> None:
    task = Task.from_mapping({**MINIMAL, "version": version})
    assert Task.parse(task.to_text(), strict=True).version == version


def test_what_tests_are_excluded() -> None:
    task = Task.from_mapping({**MINIMAL, "test_exclude": ["libx-tests", "libx-examples"]})
    lines = "test-exclude: libx-tests\ntest-exclude: libx-examples\n"
    assert lines in task.to_text()
    assert Task.parse(task.to_text(), strict=True) == task
    assert "test-exclude" not in serialize(task.to_manifest("2017"))


NAMES = st.sampled_from(["x", "trust", "tests", "y", "auxiliary-machine-a_b"])


@settings(deadline=None)
@given(st.lists(st.tuples(NAMES, st.integers(0, 9)), unique_by=lambda item: item[0]), st.data())
def test_any_order_comes_back(extra: list[tuple[str, int]], data: st.DataObject) -> None:
    pairs = [("name", "hello"), ("version", "1"), ("repository", "x:"), ("machine", "m")]
    pairs += [(name, "yes" if name == "trust" else str(value)) for name, value in extra]
    manifest = Manifest(data.draw(st.permutations(pairs)))
    assert Task.parse(manifest).to_manifest() == manifest
