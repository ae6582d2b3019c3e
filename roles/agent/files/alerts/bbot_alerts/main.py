# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One round: look what is wrong, and tell by each way what it has not told yet."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import sys
import typing as t

from . import clock
from .asking import AskingError, ask, wanted
from .conditions import Condition, conditions, unreadable
from .ledger import Ledger
from .message import Message
from .state_file import DamagedError, load, save
from .ways import WAYS, WayError, tell

# For so many seconds a way is told one message after another: of a flood the rest comes in the
# next rounds, so that a slow way keeps nothing from the others.
_TURN = 10.0


def main(arguments: t.Sequence[str]) -> int:
    """Do one round. Returns the exit status: 1 if somebody could not be told."""
    parser = argparse.ArgumentParser(description="Tell people of what is wrong, and of its end.")
    parser.add_argument("--options-file", required=True, metavar="FILE")
    parser.add_argument("--config", required=True, metavar="FILE")
    parser.add_argument("--state", required=True, metavar="FILE")
    options = parser.parse_args(arguments)
    try:
        with open(options.config, encoding="utf-8") as file:
            config = json.load(file)
        addresses = {way: str(config[way]) for way in WAYS if config.get(way)}
        ledger = _load(options.state)
        moment = clock.now()
        ledger.begin(addresses, moment)
        there, all_of = _look(options.options_file)
        ledger.look(there, moment, all_of=all_of)
        # Before anything is told: whatever happens then, it is known.
        save(options.state, ledger)
        told = [_tell(way, address, ledger, options.state) for way, address in addresses.items()]
    except (OSError, ValueError) as error:
        _say(f"cannot look for what is to be told: {error}")
        return 1
    return 0 if all(told) else 1


def _load(path: str) -> Ledger:
    try:
        return load(path)
    except DamagedError as error:
        _say(f"{path} is of no use, what is wrong is told anew: {error}")
        return Ledger()


def _look(options_file: str) -> tuple[dict[str, Condition], bool]:
    """Return what is wrong, and whether that is all of it."""
    try:
        return conditions(ask(options_file), wanted(options_file)), True
    except AskingError as error:
        return unreadable(str(error)), False
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        return unreadable(f"its form is another one ({type(error).__name__}: {error})"), False


def _tell(way: str, address: str, ledger: Ledger, state: str) -> bool:
    """Tell by one way what is due. Returns whether that came through. Raises OSError."""
    outbox, begun = ledger.outboxes[way], clock.now().up
    while outbox.due(clock.now().up) and clock.now().up - begun < _TURN:
        events = outbox.batch()
        # It is tried from now on: it has this number also if we are killed meanwhile.
        save(state, ledger)
        number = f"{ledger.origin}.{way}.{events[0].number}-{events[-1].number}"
        message = Message(number, _host(), events, outbox.left_out)
        try:
            tell(way, address, message)
        except WayError as error:
            pause = outbox.failed(clock.now().up)
            save(state, ledger)
            _say(f"cannot tell by {way}, next attempt in {pause:.0f} s: {error}")
            return False
        outbox.told()
        save(state, ledger)
    return outbox.attempts == 0


def _host() -> str:
    with contextlib.suppress(OSError):
        return socket.gethostname()
    return os.uname().nodename


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
