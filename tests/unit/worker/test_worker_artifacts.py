# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a build has made comes home: what was asked for, and nothing that leads elsewhere."""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bbot_worker import artifacts, main
from bbot_worker.artifacts import translate
from bbot_worker.tftp import TftpError

Perform = Callable[..., Any]

MAKEFILE = """\
all:
\techo x > prog; chmod 755 prog; mkdir -p out/deep; echo y > out/deep/y.txt
\tln -sf /etc/passwd out/l; mkfifo out/pipe; printf z > 'out/odd name'; ln -sf /etc out/etc
check: all
\techo 'Testsuite summary for x'; echo '# PASS:  3'
install:
\tmkdir -p $(DESTDIR)$(PREFIX)/bin && cp prog $(DESTDIR)$(PREFIX)/bin/
"""


def members(tmp_path: Path) -> dict[str, bytes]:
    with tarfile.open(tmp_path / "work" / "upload.tar", "r:") as archive:
        contents = {}
        for member in archive:
            assert member.isreg()
            file = archive.extractfile(member)
            assert file is not None
            contents[member.name] = file.read()
        return contents


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("prog", {"prog"}),
        ("out/**", {"out/deep/y.txt", "out/odd name"}),
        ("**/*.txt,prog", {"out/deep/y.txt", "prog"}),
        ("out/*", {"out/odd name"}),
        ("out/deep/?.txt", {"out/deep/y.txt"}),
    ],
)
def test_patterns(perform: Perform, tmp_path: Path, pattern: str, paths: set[str]) -> None:
    outcome = perform({"Makefile": MAKEFILE}, f"config.bbot.artifacts={pattern}")
    assert outcome.status == "success", outcome
    found = members(tmp_path)
    assert set(found) == {f"upload/bindist/libhello-1.0.0/{path}" for path in paths}
    for entry in outcome.report["artifacts"]:
        data = found[f"upload/bindist/libhello-1.0.0/{entry['path']}"]
        assert entry["size"] == len(data)
        assert entry["sha256"] == hashlib.sha256(data).hexdigest()
    (upload,) = outcome.report["uploads"]
    data = (tmp_path / "work" / "upload.tar").read_bytes()
    assert (upload["name"], upload["size"]) == ("upload.tar", len(data))
    assert upload["sha256"] == hashlib.sha256(data).hexdigest()


def test_reports_are_where_they_are_said_to_be(perform: Perform, tmp_path: Path) -> None:
    """Whoever unpacks the archive looks for the paths that the report has."""
    makefile = MAKEFILE + "\tmkdir -p reports coverage && echo a > reports/a.xml\n"
    makefile += "\techo b > coverage/reports.txt && echo c > a.xml\n"
    pattern = "config.bbot.artifacts=reports/*,coverage/*,*.xml"
    outcome = perform({"Makefile": makefile}, f"{pattern} config.bbot.operations=update,install")
    told = {f"upload/{each['type']}/libhello-1.0.0/{each['path']}" for each in
            outcome.report["artifacts"]}  # fmt: skip
    assert told == set(members(tmp_path))
    assert len(told) == 3


@pytest.mark.parametrize(
    "pattern",
    ["../**", "/etc/passwd", "out/l", "out/pipe", "no/such"],
)
def test_what_matches_nothing_is_a_warning(perform: Perform, pattern: str) -> None:
    outcome = perform({"Makefile": MAKEFILE}, f"config.bbot.artifacts={pattern}")
    assert "artifacts" not in outcome.report
    if pattern not in ("out/l", "out/pipe"):
        assert outcome.statuses["test"] == "warning"
        assert f"warning: no artifact matches '{pattern}'" in outcome.logs["test"]


def test_nothing_comes_home_unasked_of_a_makefile(perform: Perform, tmp_path: Path) -> None:
    outcome = perform({"Makefile": MAKEFILE})
    assert outcome.report == {
        "driver": "make",
        "tests": {"test": {"passed": 3, "failed": 0, "skipped": 0}},
    }
    assert not (tmp_path / "work" / "upload.tar").exists()


@pytest.mark.parametrize(
    "words",
    [
        "config.bbot.artifacts=install",
        "config.bbot.operations=configure,update,install",
        "config.bbot.operations=configure,update,install config.bbot.artifacts=install",
    ],
)
def test_what_is_installed(perform: Perform, tmp_path: Path, words: str) -> None:
    outcome = perform({"Makefile": MAKEFILE}, words)
    assert outcome.status == "success", outcome
    (name,) = list(members(tmp_path))
    assert name.endswith("/bin/prog")


def test_nothing_if_so_said(perform: Perform) -> None:
    words = "config.bbot.operations=configure,update,install config.bbot.artifacts=none"
    assert "uploads" not in perform({"Makefile": MAKEFILE}, words).report


def test_an_install_that_fails_for_artifacts_is_a_warning(perform: Perform) -> None:
    makefile = MAKEFILE.replace("cp prog", "cp none")
    outcome = perform({"Makefile": makefile}, "config.bbot.artifacts=install")
    assert outcome.statuses["test"] == "warning"
    assert "warning: nothing is installed for the artifacts: " in outcome.logs["test"]


def test_of_a_failed_build_what_is_there(perform: Perform, tmp_path: Path) -> None:
    makefile = "all:\n\techo log > build.log; false\n"
    outcome = perform({"Makefile": makefile}, "config.bbot.artifacts=*.log")
    assert outcome.statuses == {"configure": "success", "update": "error", "test": "skip"}
    assert set(members(tmp_path)) == {"upload/bindist/libhello-1.0.0/build.log"}


def test_the_archive_is_a_file_of_ours(perform: Perform, tmp_path: Path) -> None:
    """Root writes it, in a folder of the build's."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    makefile = f"all:\n\techo x > prog; ln -s {victim} ../upload.tar\n"
    outcome = perform({"Makefile": makefile}, "config.bbot.artifacts=prog")
    assert outcome.report["uploads"]
    assert victim.read_text() == "precious"
    assert not (tmp_path / "work" / "upload.tar").is_symlink()


def test_sizes_and_numbers_are_bounded(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "SIZE_MOST", 3000)
    monkeypatch.setattr(artifacts, "FILES_MOST", 5)
    makefile = "all:\n\tfor i in 1 2 3 4 5 6 7; do head -c 10 /dev/zero > $$i.bin; done\n"
    makefile += "\thead -c 5000 /dev/zero > 0.bin\ncheck:\n\techo '# PASS:  1'\n"
    outcome = perform({"Makefile": makefile}, "config.bbot.artifacts=*.bin")
    assert len(members(tmp_path)) == 5
    assert outcome.statuses["test"] == "warning"
    assert "3 artifacts are left out: more than 5 files or 0 MiB in all" in outcome.logs["test"]


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.c", "a.c", "d/a.c"),
        ("**/*.c", "d/e/a.c", "d/e/a.h"),
        ("**/*.c", "a.c", "a.cc"),
        ("d/**", "d/e/f", "e/d/f"),
        ("a?c", "abc", "a/c"),
        ("a[b].+", "a[b].+", "ab.+"),
        ("**", "a\nb", ""),
    ],
)
def test_the_language_of_patterns(pattern: str, matching: str, other: str) -> None:
    assert re.fullmatch(translate(pattern), matching)
    if other:
        assert not re.fullmatch(translate(pattern), other)


class Sent:
    """TFTP that notes what is put, and fails for one name."""

    def __init__(self, failing: str = "") -> None:
        self.failing = failing
        self.files: dict[str, bytes] = {}

    def put(self, name: str, file: Any) -> None:
        if name == self.failing:
            raise TftpError("lost")
        self.files[name] = file.read()


def test_what_is_announced_goes_before_the_result(
    perform: Perform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bbot_worker.result import Result

    outcome = perform({"Makefile": MAKEFILE}, "config.bbot.artifacts=prog")
    result = Result()
    result.report = outcome.report
    sent = Sent()
    assert main.upload(sent, result, str(tmp_path / "work"))  # type: ignore[arg-type]
    assert list(sent.files) == ["upload.tar", "manifest"]
    monkeypatch.setattr(main.time, "sleep", lambda _: None)
    failing = Sent("upload.tar")
    assert not main.upload(failing, result, str(tmp_path / "work"))  # type: ignore[arg-type]
