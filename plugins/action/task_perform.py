# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Action plugin: all of a task, from what people write to results at home, over one connection."""

from __future__ import annotations

import os
import typing as t

from ansible import constants as C
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.origin import differences
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.prepare import Prepared
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.rerun import SourceKeeper
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.source import (
    new_folder,
    remove_folder,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.task.summary import Summary
from ansible_collections.bbot.agent.plugins.plugin_utils._follow import (
    ending_raised,
)
from ansible_collections.bbot.agent.plugins.plugin_utils._matrix_action import MatrixAction
from ansible_collections.bbot.agent.plugins.plugin_utils._prepare import (
    MATRIX,
    OPTIONS,
    check_variables,
    has_matrix,
    is_matrix,
    prepare_task,
)
from ansible_collections.bbot.agent.plugins.plugin_utils._results import check_logs

_RUN = "bbot.agent.task_run"
_BOOTSTRAP = "bbot.agent.machine_bootstrap"

Result = dict[str, t.Any]


class ActionModule(MatrixAction):
    """Reads, packs, hands over, has performed, and brings home."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: t.Any = None, task_vars: Result | None = None) -> Result:
        result: Result = super().run(tmp, task_vars)
        statuses = [str(status) for status in Status] + ["never"]
        _validation, options = self.validate_argument_spec(
            argument_spec={
                **OPTIONS,
                **MATRIX,
                "machine": {"type": "str", "default": ""},
                "toolchain": {"type": "str", "default": "default"},
                "machine_options": {"type": "dict", "default": {}},
                "task_options": {"type": "dict", "default": {}},
                "results": {"type": "path", "default": "results"},
                "fail_on": {"type": "str", "choices": statuses, "default": "error"},
                "fail_fast": {"type": "bool", "default": False},
                "at_once": {"type": "int", "default": 0},
                "hosts": {"type": "list", "elements": "str", "default": []},
                "offers": {"type": "list", "elements": "dict", "default": []},
            }
        )
        check_variables(self._loader, options["variables"])
        with ending_raised():
            folder = new_folder(C.DEFAULT_LOCAL_TMP)
            try:
                result.update(self._do(options, folder, task_vars or {}))
            finally:
                remove_folder(folder)
        return result

    def _do(self, options: Result, folder: str, facts: Result) -> Result:
        """Do it, or in check mode see that it could be done, with what is packed in ``folder``."""
        host = str(facts.get("inventory_hostname", "localhost"))
        if is_matrix(options):
            return self.perform_matrix(options, facts)
        foreign = options["toolchain"] != "default"
        prepared = prepare_task(options, folder, host, foreign=foreign)
        if has_matrix(options, prepared):
            return self.perform_matrix(options, facts)
        if self._task.check_mode:
            return self._check(options, prepared, facts)
        with self.work_folder() as place:
            return self._perform(options, prepared, place, facts)

    def _arguments(self, options: Result, prepared: Prepared) -> Result:
        """The options of the module that performs the task, but for its files."""
        arguments: Result = {
            "task": prepared.fields,
            "toolchain": options["toolchain"],
            "fail_on": "never",
            **options["machine_options"],
            **options["task_options"],
        }
        if options["machine"]:
            arguments["machine"] = options["machine"]
        return arguments

    def _check(self, options: Result, prepared: Prepared, facts: Result) -> Result:
        arguments = {**self._arguments(options, prepared), "unready": "tell"}
        found = self._run(_RUN, arguments, facts)
        for machine in found.get("unready", []):
            told = self._run(_BOOTSTRAP, self._bootstrapping(options, machine), facts)
            if told.get("failed"):
                return told
            found["changed"] = found["changed"] or told["changed"]
        return found

    def _run(self, module: str, arguments: Result, facts: Result) -> Result:
        done: Result = self._execute_module(
            module_name=module, module_args=arguments, task_vars=facts
        )
        return done

    def _bootstrapping(self, options: Result, machine: str) -> Result:
        return {"name": machine, "toolchain": options["toolchain"], **options["machine_options"]}

    def _perform(self, options: Result, prepared: Prepared, place: str, facts: Result) -> Result:
        files = self._hand_over(prepared.files)
        arguments = {**self._arguments(options, prepared), "files": files, "unready": "tell"}
        done = self.follow(_RUN, arguments, place, facts)
        if done.get("unready"):
            for machine in done["unready"]:
                made = self.follow(_BOOTSTRAP, self._bootstrapping(options, machine), place, facts)
                if made.get("failed"):
                    return made
            # The files went with the first one.
            arguments["files"] = self._hand_over(prepared.files)
            done = self.follow(_RUN, {**arguments, "unready": "fail"}, place, facts)
        if done.get("failed"):
            return done
        home = os.path.join(options["directory"], options["results"], check_logs(done["logs"]))
        home = os.path.normpath(home)
        self.bring_home(done["logs"], place, home)
        SourceKeeper().keep(prepared.files, home)
        differs = []
        if former := options["rerun"]:
            place = os.path.join(options["directory"], os.path.expanduser(former))
            differs = differences(place, home)
        summary = Summary(
            done["result"],
            done.get("report") or {},
            done["machine"]["name"],
            done["culprit"],
            done["reason"],
            done["phases"],
            home,
        )
        return {
            **done,
            "home": home,
            "summary": [*summary.lines(), *differs],
            "stats": summary.facts() | ({"differs": differs} if former else {}),
            "failure": summary.failure(options["fail_on"]),
        }

    def _hand_over(self, files: t.Mapping[str, str]) -> list[dict[str, str]]:
        """Have ``files`` on the host, in the folder that goes with the module."""
        if not files:
            return []
        if self._connection.transport == "local" and not self._is_become_unprivileged():
            return [{"name": name, "path": path} for name, path in files.items()]
        place = self._connection._shell.tmpdir or self._make_tmp_path()
        handed = {name: self._connection._shell.join_path(place, name) for name in files}
        for name, path in handed.items():
            self._transfer_file(files[name], path)
        self._fixup_perms2([place, *handed.values()], execute=False)
        return [{"name": name, "path": path} for name, path in handed.items()]
