# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signals as events of a loop."""

from __future__ import annotations

import os
import signal

from ansible_collections.bbot.agent.plugins.module_utils._engine.linux.signals import Signals


def test_signals_come_as_events() -> None:
    with Signals(signal.SIGHUP, signal.SIGUSR1) as caught:
        assert caught.take() == []
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGUSR1)
        os.kill(os.getpid(), signal.SIGHUP)
        taken = caught.take()
        assert taken.count(signal.SIGHUP) >= 1
        assert signal.SIGUSR1 in taken
        assert caught.take() == []
