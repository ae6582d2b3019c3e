# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where names are looked up, and what a segment's rules say."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.network import (
    egress as _egress,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.bridge import NetworkError
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.egress import (
    REFUSED,
    Egress,
    check_address,
    check_network,
    choose_egress,
    rules,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.network.proxy import Proxy


def resolvers(monkeypatch: pytest.MonkeyPatch, folder: Path, *texts: str | None) -> list[str]:
    paths = []
    for number, text in enumerate(texts):
        paths.append(str(folder / str(number)))
        if text is not None:
            Path(paths[-1]).write_text(text)
    monkeypatch.setattr(_egress, "_RESOLVERS", paths)
    return _egress._resolvers()


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        (("nameserver 10.0.0.1\n# nameserver 10.0.0.3\nnameserver 10.0.0.2\n",), ["10.0.0.1", "2"]),
        (("search example.org\nnameserver 127.0.0.53\n", "nameserver 10.0.0.1\n"), ["10.0.0.1"]),
        (("nameserver ::1\nnameserver fe80::1%eth0\nnameserver\n", "nameserver 9.9.9.9"), None),
        ((None, "nameserver 9.9.9.9"), ["9.9.9.9"]),
    ],
)
def test_the_hosts_resolvers(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    texts: tuple[str | None, ...],
    found: list[str] | None,
) -> None:
    wanted = ["9.9.9.9"] if found is None else [f"10.0.0.{x}" if x == "2" else x for x in found]
    assert resolvers(monkeypatch, tmp_path, *texts) == wanted


@pytest.mark.parametrize("texts", [(None, None), ("", "nameserver 127.0.0.1\n")])
def test_no_resolver(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, texts: tuple[str | None, ...]
) -> None:
    with pytest.raises(NetworkError, match=r"name no resolver .* name one with the option"):
        resolvers(monkeypatch, tmp_path, *texts)


def test_what_options_mean() -> None:
    assert choose_egress("none", ["10.0.0.0/8"], [], "a:1") is None
    assert choose_egress("nat", [], ["10.0.0.1"], None) == Egress(REFUSED, ["10.0.0.1"])
    assert choose_egress("nat", ["10.0.0.0/8"], [], None) == Egress(["10.0.0.0/8"], [])
    assert choose_egress("proxy", [], [], "cache.example:3142") == Proxy("cache.example", 3142)
    for text in (None, "", "cache.example"):
        with pytest.raises(NetworkError, match=r"\(egress-proxy\), but '.*' is no HOST:PORT"):
            choose_egress("proxy", [], [], text)


def test_rules() -> None:
    text = rules(Egress(resolvers=["10.0.0.1", "10.0.0.2"]), "br1")
    assert "192.168.0.0/16" in text
    assert "ip daddr { 10.0.0.1, 10.0.0.2 } meta l4proto { tcp, udp } th dport 53 accept" in text
    assert "{  }" not in rules(Egress([], ["10.0.0.1"]), "br1")


@pytest.mark.parametrize("text", ["10.0.0.1/8", "10.0.0.0/33", "x", "::/0", "1.2.3.4; flush"])
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        check_network(text)


def test_what_is_no_address() -> None:
    assert check_address("10.0.0.1") == "10.0.0.1"
    with pytest.raises(ValueError, match="'x'"):
        check_address("x")
