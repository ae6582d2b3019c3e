# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What tftp_serve says about options that cannot be meant."""

from __future__ import annotations

import json
import os
import typing as t

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bbot.agent.plugins.modules import tftp_serve


def failure(capfd: pytest.CaptureFixture[str], **options: t.Any) -> str:
    """The message with which the module fails."""
    given = {key: value for key, value in options.items() if value is not None}
    with patch_module_args(given), pytest.raises(SystemExit):
        tftp_serve.main()
    result = json.loads(capfd.readouterr().out)
    assert result["failed"]
    return t.cast("str", result["msg"])


@pytest.mark.parametrize("check_mode", [False, True])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"put_root": "/nowhere"},
            "put_root: there is no directory /nowhere on this host; create it first",
        ),
        (
            {"address": "localhost"},
            "address: 'localhost' is not an IPv4 address; give one like 172.16.123.1",
        ),
        ({"peer": "::1"}, "peer: '::1' is not an IPv4 address; give one like 172.16.123.1"),
        ({"port": 0}, "port: 0 is not a number from 1 to 65535; TFTP's own is 69"),
        ({"port": 65536}, "port: 65536 is not a number from 1 to 65535; TFTP's own is 69"),
        ({"timeout": -1}, "timeout: -1 is negative; give a number of seconds"),
        (
            {"until": "../x"},
            "until: '../x' cannot be uploaded: the file name leads where it may not",
        ),
        (
            {"get_root": None, "put_root": None},
            "one of the following is required: get_root, put_root",
        ),
        ({"until": "x", "put_root": None}, "missing parameter(s) required by 'until': put_root"),
    ],
)
def test_bad_options_are_said_in_one_sentence(capfd, tmp_path, options, message, check_mode):
    good = {"get_root": str(tmp_path), "put_root": str(tmp_path), "timeout": 0}
    assert failure(capfd, **good | options, _ansible_check_mode=check_mode) == message


def test_a_directory_without_permission(capfd, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert failure(capfd, put_root=str(tmp_path)) == (
        f"put_root: the directory {tmp_path} is not writable for this user; change its mode"
    )
