# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The redirection of a machine's TFTP, by an nft that refuses, lies or is not there."""

from __future__ import annotations

import typing as t

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import bridge as _network
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import (
    NetworkError,
    Redirect,
    bridge_address,
)

MAC = "02:00:00:00:00:01"
KEY = f'"br1" . {MAC}'


class Nft:
    """Programs' answers one by one; the last one for ever."""

    def __init__(self, *answers: tuple[int, str, str]) -> None:
        self.answers = list(answers)
        self.scripts: list[str] = []

    def __call__(self, args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
        assert args[0] == "/x/nft"
        self.scripts.append(data or " ".join(args[1:]))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


OK = (0, "", "")
REFUSED = (1, "", "Error: Could not process rule: File exists")


@pytest.fixture(autouse=True)
def program(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_network, "find_program", lambda name, _package: f"/x/{name}")


def add(nft: Nft) -> None:
    Redirect(nft).add("br1", MAC, "10.0.0.1", 61000)


def test_one_transaction_makes_all_of_it() -> None:
    nft = Nft(OK)
    add(nft)
    (script,) = nft.scripts
    lines = script.splitlines()
    assert lines[-1] == f"add element ip bbot_agent tftp {{ {KEY} : 10.0.0.1 . 61000 }}"
    # The rule is there once, however often this is done.
    assert lines.index("flush chain ip bbot_agent prerouting") == 3
    assert [line.split()[:2] for line in lines] == [
        ["add", "table"],
        ["add", "map"],
        ["add", "chain"],
        ["flush", "chain"],
        ["add", "rule"],
        ["add", "element"],
    ]


def test_what_a_dead_one_has_left_is_replaced() -> None:
    nft = Nft(REFUSED, OK, OK)
    add(nft)
    first, delete, second = nft.scripts
    assert first == second
    assert delete == f"delete element ip bbot_agent tftp {{ {KEY} }}\n"


def test_an_nft_that_refuses_everything_says_why() -> None:
    with pytest.raises(NetworkError, match=f"cannot redirect the TFTP of {MAC}.*File exists"):
        add(Nft(REFUSED))


@pytest.mark.parametrize(
    ("listing", "fails"),
    [
        ((1, "", "Error: No such file or directory"), False),
        ((0, "", ""), False),
        ((0, 'elements = { "br1" . 02:00:00:00:00:02 : 10.0.0.1 . 61001 }', ""), False),
        ((0, f'elements = {{ "br2" . {MAC} : 10.0.0.1 . 61001 }}', ""), False),
        ((0, f"elements = {{ {KEY} : 10.0.0.1 . 61000 }}", ""), True),
    ],
)
def test_one_that_cannot_be_ended_matters_only_if_it_is_there(
    listing: tuple[int, str, str], fails: bool
) -> None:
    redirect = Redirect(Nft(REFUSED, listing))
    if not fails:
        redirect.remove("br1", MAC)
        return
    with pytest.raises(NetworkError, match=f"cannot end the redirection of the TFTP of {MAC}"):
        redirect.remove("br1", MAC)


@pytest.mark.parametrize(
    ("listing", "keys"),
    [
        ((1, KEY, "Error"), []),
        ((0, "", ""), []),
        ((0, f"{KEY} : 10.0.0.1 . 1, {KEY[:-1]}2 : 10.0.0.1 . 2", ""), [KEY, f"{KEY[:-1]}2"]),
        ((0, '"br1" . 02:00', ""), []),
    ],
)
def test_what_there_is(listing: tuple[int, str, str], keys: list[str]) -> None:
    assert Redirect(Nft(listing)).elements() == keys


@pytest.mark.parametrize("name", ["", "x" * 16, "é" * 8])
def test_what_is_no_name_of_an_interface(name: str) -> None:
    with pytest.raises(NetworkError, match="is not of 1 to 15 bytes"):
        bridge_address(name)


def test_a_bridge_that_is_not_there() -> None:
    with pytest.raises(NetworkError, match="no bridge bbnone on this host; make it with"):
        bridge_address("bbnone")


def test_an_interface_with_an_address() -> None:
    assert str(bridge_address("lo")) == "127.0.0.1/8"


@pytest.mark.parametrize(
    ("number", "words"),
    [(99, "bridge br1 has no IPv4 address"), (1, "cannot look at bridge br1: Operation not")],
)
def test_a_kernel_that_does_not_tell(
    number: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: t.Any) -> t.NoReturn:
        raise OSError(number, "Operation not permitted")

    monkeypatch.setattr(_network.fcntl, "ioctl", fail)
    with pytest.raises(NetworkError, match=words):
        bridge_address("br1")
