# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""The agent's steps for the modules that talk to controllers.

All of the agent is behind it, so that modules which do without are a third smaller and quicker.
"""

from __future__ import annotations

import typing as t

from ._argspec import CONTROLLER
from ._engine.agent.duties import Duties
from ._engine.agent.options import parse_settings
from ._engine.host.diagnostics import Diagnostics
from ._engine.linux.process import module_runner


def make_duties(module: t.Any, arguments: t.Sequence[str] = ()) -> Duties:
    """The agent's steps, on the host and with the controllers that ``module``'s options tell.

    ``arguments`` are further ones of the command bbot-agent. Raises OptionsError.
    """
    params = module.params
    given = ["--toolchain-name", params["toolchain"]]
    for name in ("machines", "storage", "tftp", "state_dir", *CONTROLLER):
        if params[name] is not None:
            given += [f"--{name.replace('_', '-')}", str(params[name])]
    return Duties(parse_settings([*given, *arguments]), module_runner(module), Diagnostics(-1))
