# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: read what people want to be built, and pack it, on the control node."""

from __future__ import annotations

import typing as t

from ansible import constants as C
from ansible.plugins.action import ActionBase
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.source import (
    new_folder,
    remove_folder,
)
from ansible_collections.bbot.agent.plugins.plugin_utils._prepare import (
    MATRIX,
    OPTIONS,
    check_variables,
    has_matrix,
    is_matrix,
    prepare_task,
)


class ActionModule(ActionBase):
    """Turns the options into a task, and files for its guest."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(
            argument_spec={**OPTIONS, **MATRIX, "foreign": {"type": "bool", "default": False}}
        )
        check_variables(self._loader, options["variables"])
        if is_matrix(options):
            # Each of its tasks is prepared by whoever performs it.
            result.update(changed=False, matrix=True)
            return result
        # Where Ansible clears away at the end of the play, however that ends.
        folder = new_folder(C.DEFAULT_LOCAL_TMP)
        try:
            host = str(self._play_context.remote_addr or "localhost")
            prepared = prepare_task(options, folder, host, foreign=options["foreign"])
        except BaseException:
            remove_folder(folder)
            raise
        files = [{"name": name, "path": path} for name, path in prepared.files.items()]
        result.update(
            changed=False,
            matrix=has_matrix(options, prepared),
            task=prepared.fields,
            driver=prepared.looked.get("driver", ""),
            others=prepared.looked.get("others", []),
            auxiliary_machines=prepared.auxiliary_machines,
            files=files,
            warnings=prepared.warnings,
        )
        # In check mode nothing is handed over.
        if self._task.check_mode or not files:
            remove_folder(folder)
            result["files"] = []
        else:
            result["folder"] = folder
        return result
