# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is let in, and who is not."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.web.access import (
    AccessError,
    Names,
    Passwords,
)


def hashed(password: str, kind: str = "-6") -> str:
    done = subprocess.run(
        ["openssl", "passwd", kind, password], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def header(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("localhost", True),
        ("localhost:8090", True),
        ("LOCALHOST.:8090", True),
        ("127.0.0.1:8090", True),
        ("[::1]:8090", True),
        ("[2001:db8::1]", True),
        ("198.51.100.7", True),
        ("build1", True),
        ("ci.example.org:443", True),
        ("", False),
        ("evil.example.org", False),
        ("localhost.evil.example.org", False),
        ("127.0.0.1.evil.example.org:8090", False),
        ("[::1].evil.example.org", False),
        ("localhost:8090:x", False),
        ("build1 ", False),
    ],
)
def test_names(host: str, *, known: bool) -> None:
    assert Names(["build1", "ci.example.org"]).is_known(host) is known


def test_passwords(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text(f"# us\n\nanna:{hashed('secret')}\nbert:{hashed('über: all')}\n")
    passwords = Passwords(str(path))
    for user in ("anna:secret", "bert:über: all"):
        assert not passwords.are_known(header(user))
        assert passwords.are_right(header(user)) and passwords.are_known(header(user))
    for user in ("anna:Secret", "bert:secret", "carl:secret", "anna", ":", "anna:", "anna:\0", ""):
        assert not passwords.are_right(header(user)), user
        assert not passwords.are_known(header(user)), user
    assert not passwords.are_right(header(f"anna:{'x' * 600}"))
    for odd in ("", "Basic", "Basic ???", "Bearer x", f"basic {'A' * 9000}", "Basic /w=="):
        assert not passwords.are_right(odd)
    assert passwords.are_right(header("anna:secret").replace("Basic", "bASIC"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "no user"),
        ("# nobody\n", "no user"),
        ("anna\n", ":1: expected USER:HASH"),
        ("anna:secret\n", "mkpasswd"),
        ("anna:$1$abc$\n", "$6$"),
        (":$6$abc$def\n", ":1:"),
        ("anna:*\n", ":1:"),
        (b"anna:\xff\n", "UTF-8"),
        (b"x" * ((1 << 20) + 1), "bytes"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "users"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(AccessError, match="users") as caught:
        Passwords(str(path))
    assert says in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="No such file"):
        Passwords(str(tmp_path / "users"))
