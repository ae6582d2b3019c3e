# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.tftp.packets import (
    ACCESS,
    ILLEGAL,
    NetasciiDecoder,
    Request,
    Terms,
    TftpError,
    build_error,
    build_oack,
    build_request,
    encode_netascii,
    modulus,
    negotiate,
    parse_error,
    parse_oack,
    parse_request,
    wire_number,
)
from hypothesis import given
from hypothesis import strategies as st

WORDS = st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1)


def agree(
    options: dict[str, str], *, operation: str = "get", size: int | None = 1000, **limits: int
) -> Terms:
    request = Request("get" if operation == "get" else "put", "x", "octet", options)
    return negotiate(
        request,
        size=size,
        largest_block=limits.get("block", 65464),
        largest_window=limits.get("window", 32),
        window_bytes=limits.get("room", 1 << 30),
    )


@given(
    operation=st.sampled_from(["get", "put"]),
    name=st.text(st.characters(codec="utf-8")).filter(str.isprintable),
    options=st.dictionaries(WORDS.map(str.lower), WORDS),
)
def test_a_request_survives_the_wire(operation, name, options):
    request = Request(operation, name, "netascii", options)
    assert parse_request(build_request(request)) == request


@pytest.mark.parametrize("mode", [b"OCTET", b"Octet", b"octet"])
def test_mode_and_option_names_have_no_case(mode):
    request = parse_request(b"\0\1a\0" + mode + b"\0BlkSize\x001468\0")
    assert request == Request("get", "a", "octet", {"blksize": "1468"})


@pytest.mark.parametrize(
    ("datagram", "code"),
    [
        (b"", ILLEGAL),
        (b"\0", ILLEGAL),
        (b"\0\3\0\1", ILLEGAL),
        (b"\0\1", ILLEGAL),
        (b"\0\1name", ILLEGAL),
        (b"\0\1name\0", ILLEGAL),
        (b"\0\1name\0octet", ILLEGAL),
        (b"\0\1name\0mail\0", ILLEGAL),
        (b"\0\2\xff\xfe\0octet\0", ACCESS),
        (b"\0\1a\x1b[2J\0octet\0", ACCESS),
        (b"\0\1" + b"a" * 1025 + b"\0octet\0", ACCESS),
    ],
)
def test_a_broken_request_is_refused(datagram, code):
    with pytest.raises(TftpError) as caught:
        parse_request(datagram)
    assert caught.value.code == code


def test_options_cut_short_are_read_as_far_as_they_go():
    request = parse_request(b"\0\1a\0octet\0tsize\x000\0blksize\x00146")
    assert request.options == {"tsize": "0"}


def test_the_first_of_a_repeated_option_counts():
    assert parse_request(b"\0\1a\0octet\0b\x001\0B\x002\0").options == {"b": "1"}


@given(st.binary(max_size=600))
def test_any_datagram_is_read_or_refused(datagram):
    try:
        parse_request(datagram)
    except TftpError as error:
        assert str(error)


@given(st.binary(max_size=600))
def test_any_error_can_be_shown(datagram):
    _code, message = parse_error(datagram)
    assert message.isprintable()


def test_an_error_survives_the_wire():
    assert parse_error(build_error(3, "the disk is full")) == (3, "the disk is full")


@given(st.dictionaries(WORDS.map(str.lower), WORDS))
def test_an_oack_survives_the_wire(options):
    assert parse_oack(build_oack(options.items())) == options


def test_without_options_nothing_is_agreed():
    assert agree({}) == Terms()


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({"blksize": "8"}, {"blksize": "8"}),
        ({"blksize": "1468"}, {"blksize": "1468"}),
        ({"blksize": "65464"}, {"blksize": "65464"}),
        ({"blksize": "70000"}, {"blksize": "65464"}),
        ({"blksize": "7"}, {}),
        ({"blksize": "-1"}, {}),
        ({"blksize": "1e3"}, {}),
        ({"blksize": "²"}, {}),
        ({"blksize": "9" * 30}, {}),
        ({"windowsize": "1"}, {"windowsize": "1"}),
        ({"windowsize": "65535"}, {"windowsize": "32"}),
        ({"windowsize": "0"}, {}),
        ({"timeout": "1"}, {"timeout": "1"}),
        ({"timeout": "256"}, {}),
        ({"timeout": "0"}, {}),
        ({"utimeout": "10000"}, {"utimeout": "10000"}),
        ({"utimeout": "9999"}, {}),
        ({"rollover": "0"}, {"rollover": "0"}),
        ({"rollover": "1"}, {"rollover": "1"}),
        ({"rollover": "2"}, {}),
        ({"tsize": "0"}, {"tsize": "1000"}),
        ({"multicast": ""}, {}),
    ],
)
def test_each_option(options, answer):
    assert dict(agree(options).accepted) == answer


def test_options_are_answered_in_the_order_asked():
    asked = {"tsize": "0", "x": "y", "windowsize": "4", "timeout": "3", "blksize": "1024"}
    assert [key for key, _dummy in agree(asked).accepted] == [
        "tsize",
        "windowsize",
        "timeout",
        "blksize",
    ]


def test_the_window_is_what_the_sockets_can_hold():
    assert agree({"windowsize": "16", "blksize": "65464"}, room=200_000).window == 3
    assert agree({"windowsize": "16", "blksize": "65464"}, room=100).window == 1


def test_the_finer_timeout_rules():
    terms = agree({"utimeout": "50000", "timeout": "5"})
    assert terms.timeout == 0.05
    assert dict(terms.accepted) == {"utimeout": "50000", "timeout": "5"}


def test_an_upload_announces_its_size():
    terms = agree({"tsize": "123456"}, operation="put")
    assert terms.tsize == 123456
    assert dict(terms.accepted) == {"tsize": "123456"}


@pytest.mark.parametrize("size", [None, 0])
def test_an_unknown_size_stays_unanswered_and_so_does_0(size):
    """curl 7.88 takes a tsize of 0 in an OACK for an error, and ends with exit code 71."""
    assert agree({"tsize": "0"}, size=size).accepted == ()


@pytest.mark.parametrize(
    ("block", "rollover", "number"),
    [
        (0, 0, 0),
        (1, 0, 1),
        (65535, 0, 65535),
        (65536, 0, 0),
        (65537, 0, 1),
        (131072, 0, 0),
        (0, 1, 0),
        (1, 1, 1),
        (65535, 1, 65535),
        (65536, 1, 1),
        (131071, 1, 1),
    ],
)
def test_block_numbers_roll_over(block, rollover, number):
    assert wire_number(block, rollover) == number


@given(st.integers(0, 1 << 32), st.integers(0, 65534), st.sampled_from([0, 1]))
def test_the_distance_of_two_numbers_is_that_of_their_blocks(block, ahead, rollover):
    number = wire_number(block + ahead, rollover)
    assert (number - block) % modulus(rollover) == ahead


@given(st.binary(), st.lists(st.integers(0, 40)))
def test_netascii_comes_back_whatever_the_pieces(data, cuts):
    encoded = encode_netascii(data)
    decoder = NetasciiDecoder()
    got, at = b"", 0
    for cut in cuts:
        got += decoder.decode(encoded[at : at + cut])
        at += cut
    assert got + decoder.decode(encoded[at:], final=True) == data


@pytest.mark.parametrize(
    ("text", "netascii"),
    [(b"a\nb", b"a\r\nb"), (b"\r", b"\r\0"), (b"\r\n", b"\r\0\r\n"), (b"\n\n", b"\r\n\r\n")],
)
def test_netascii_as_the_rfc_has_it(text, netascii):
    assert encode_netascii(text) == netascii


@pytest.mark.parametrize(
    ("netascii", "text"), [(b"a\rb", b"a\rb"), (b"a\r", b"a\r"), (b"\r\r\n", b"\r\n")]
)
def test_a_lone_cr_is_kept(netascii, text):
    assert NetasciiDecoder().decode(netascii, final=True) == text
