# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's options: names and defaults, files, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import (
    OptionsError,
    make_parser,
    read_settings,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.settings import (
    Settings,
    options,
)

URL = "https://ci.example.org/?build-task"

# protocol.md, section 7: what bbot's agent of 2017 had.
SEED = {
    *("--help", "--version", "--verbose", "--systemd-daemon"),
    *("--toolchain-name", "--toolchain-num", "--toolchain-ver", "--toolchain-id"),
    *("--cpu", "--ram", "--machines", "--tftp", "--tftp-port"),
    *("--bootstrap-timeout", "--bootstrap-retries", "--build-timeout", "--build-retries"),
    *("--request-timeout", "--trust"),
    *("--fake-bootstrap", "--fake-build", "--fake-machine", "--fake-request"),
    *("--dump-machines", "--dump-task", "--dump-result"),
}


def test_every_option_of_the_seed_is_there() -> None:
    known = {option for action in make_parser()._actions for option in action.option_strings}
    assert known >= SEED
    # And each can be read by a person.
    assert all(action.help for action in make_parser()._actions)


def test_defaults() -> None:
    settings = read_settings([URL])
    assert [controller.url for controller in settings.controllers] == [URL]
    assert dataclasses.replace(settings, controllers=()) == Settings(
        controllers=(),
        verbose=1,
        systemd_daemon=False,
        toolchain_name="default",
        toolchain_num=1,
        toolchain_ver=None,
        toolchain_id="",
        instance_max=1,
        cpu=1,
        ram=1048576,
        accelerator="auto",
        machines="/build/machines",
        tftp="/build/tftp",
        tftp_port=0,
        bridge=None,
        user="bbot",
        state_dir="/var/lib/bbot-agent",
        runtime_dir="/run/bbot-agent",
        log_dir="/var/log/bbot-agent",
        log_age=30 * 86400,
        bootstrap_startup=None,
        bootstrap_timeout=3600,
        bootstrap_retries=2,
        build_startup=None,
        build_timeout=5400,
        build_retries=2,
        upload_limit=268435456,
        suspend_max=3,
        suspend_age=86400,
        warm=(),
        machine_order=(),
        request_timeout=300,
        connect_timeout=60,
        poll_interval=15,
        result_timeout=10800,
        ca_cert=None,
        proxy=None,
        trust=(),
        auth_key=None,
        openssl="openssl",
        openssl_option=(),
        fake_bootstrap=False,
        fake_build=False,
        fake_machine=None,
        fake_request=None,
        dump_machines=False,
        dump_task=False,
        dump_result=False,
    )
    assert settings.toolchain_ver is None
    assert str(read_settings(["--toolchain-ver", "0.17.0", URL]).toolchain_ver) == "0.17.0"


def test_settings_need_no_command_line() -> None:
    assert Settings().cpu == 1
    assert Settings(cpu=4, warm=("deb*",)).warm == ("deb*",)
    assert read_settings([URL]) == dataclasses.replace(
        Settings(), controllers=read_settings([URL]).controllers
    )


def test_one_table_says_all(capsys: pytest.CaptureFixture[str]) -> None:
    make_parser().print_help()
    told = capsys.readouterr().out
    for name, option in options().items():
        shown = option.metavar if option.kind == "words" else f"--{name.replace('_', '-')}"
        assert shown in told
        assert "".join(option.help.split()) in "".join(told.split())


def test_a_file_of_options(tmp_path: Path) -> None:
    path = tmp_path / "default.options"
    path.write_text(
        "# What this host is for.\n"
        "\n"
        "--cpu 4   # all of them\n"
        "--ram=2097152\n"
        "--log-dir '/var/log/the agent'\n"
        "--fake-build\n"
        f"100={URL}\n"
        "--trust yes\n"
    )
    settings = read_settings(["--cpu", "2", "--options-file", str(path), "--ram", "1048576", URL])
    # Whatever comes later wins.
    assert (settings.cpu, settings.ram) == (4, 1048576)
    assert settings.log_dir == "/var/log/the agent"
    assert settings.fake_build
    assert settings.trust == ("yes",)
    assert [each.priority.number for each in settings.controllers] == [100, 0]
    assert read_settings([f"--options-file={path}"]).cpu == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "controller url expected"),
        (["--cpu", "0", URL], "argument --cpu: '0' is not a number of at least 1"),
        (["--cpu", "x", URL], "argument --cpu: 'x' is not a number of at least 1"),
        (["--tftp-port", "70000", URL], "argument --tftp-port: 70000 is more than 65535"),
        (
            ["--poll-interval", "nan", URL],
            "argument --poll-interval: 'nan' is not a time of at least",
        ),
        (["--trust", "me", URL], "argument --trust: 'yes' or 32 hexadecimal bytes"),
        (
            ["--toolchain-name", "stage-1", URL],
            "argument --toolchain-name: 'stage-1' cannot be a toolchain's name",
        ),
        (["--toolchain-ver", "1", URL], "argument --toolchain-ver: '.' expected after major"),
        (["--accelerator", "xen", URL], "argument --accelerator: invalid choice: 'xen'"),
        (["--cpus", "2", URL], "unknown option --cpus"),
        (["ci.example.org"], "is not a URL of the form http"),
        (["--options-file"], "argument --options-file: expected a file"),
        (["--options-file", "/nowhere"], "cannot read the options in /nowhere: No such file"),
    ],
)
def test_refusals(arguments: list[str], words: str) -> None:
    with pytest.raises(OptionsError) as caught:
        read_settings(arguments)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--cpu two", "argument --cpu: 'two' is not a number of at least 1"),
        ("--cpu 'two", "no closing quotation"),
        ("--cpu 2 --ram 3", "one option, or one URL, is expected on a line"),
        ("--options-file x", "a file of options cannot name another one"),
        ("http:x", "is not a URL"),
    ],
)
def test_refusals_of_a_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "options"
    path.write_text(f"# first\n{line}\n")
    with pytest.raises(OptionsError) as caught:
        read_settings(["--options-file", str(path), URL])
    assert str(caught.value).startswith(f"{path}:2: ")
    assert words in str(caught.value)


def test_what_needs_no_controller() -> None:
    assert read_settings(["--dump-machines"]).dumps
    assert read_settings(["--fake-request", "task"]).controllers == ()
    with pytest.raises(OptionsError, match="controller url expected"):
        read_settings(["--dump-task"])
