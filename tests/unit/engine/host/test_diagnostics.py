# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is printed, and how."""

from __future__ import annotations

import io

from ansible_collections.bbot.agent.plugins.module_utils._engine.host.diagnostics import Diagnostics


def test_diagnostics() -> None:
    stream = io.StringIO()
    say = Diagnostics(1, stream=stream)
    say.error("two\nlines")
    say.warning("careful")
    say.info("on")
    say.trace("hidden")
    say.report("warning: of the engine", "task x: ")
    say.report("phase work")
    say.report("error of no kind: x")
    assert stream.getvalue().splitlines() == [
        *("error: two lines", "warning: careful", "info: on", "warning: task x: of the engine"),
    ]
    stream = io.StringIO()
    say = Diagnostics(2, systemd=True, stream=stream)
    say.error("e")
    say.report("phase work", "task x: ")
    say.fatal("the end")
    assert stream.getvalue().splitlines() == [
        *("<3>error: e", "<7>task x: phase work", "<2>error: the end"),
    ]
    silent = io.StringIO()
    Diagnostics(0, stream=silent).info("on")
    assert silent.getvalue() == ""
    closed = io.StringIO()
    closed.close()
    say = Diagnostics(stream=closed)
    say.error("nobody reads it")
    say.error("and nobody ever will")
