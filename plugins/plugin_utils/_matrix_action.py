# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.

"""Action plugin base: performs a matrix on the hosts of a play, and brings results home."""

from __future__ import annotations

import base64
import shlex
import shutil
import tempfile
import typing as t

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display
from ansible_collections.bbot.agent.plugins.module_utils._engine.errors import EngineError

from ._follow import HostAction, PlayEnded
from ._matrix import MODULE, HostPart
from ._matrix_ends import Result, arguments, as_failure, conclude, known_machines
from ._matrix_share import Options, Share
from ._results import unpack_results

display = Display()

# Bytes of packed results that come in one answer of the host.
_PIECE = 6 << 20


class MatrixAction(HostAction):
    """Does the part of its host of a matrix."""

    def perform_matrix(self, options: Options, facts: Result) -> Result:
        """Do it; the last host's result says what all have come to."""
        host = str(facts.get("inventory_hostname", "localhost"))
        if options["interactive"]:
            raise AnsibleActionFail("interactive is for one task, and a matrix has several.")
        share = Share(options, str(self._task._uuid), host)
        try:
            if self._task.check_mode:
                return self._check_matrix(options, share, facts)
            return self._do_part(options, share, host, facts)
        except EngineError as error:
            raise as_failure(error) from None

    def _check_matrix(self, options: Options, share: Share, facts: Result) -> Result:
        try:
            found: Result = self._execute_module(
                module_name=MODULE, module_args=arguments(options, share.folder), task_vars=facts
            )
            if not found.get("failed"):
                known = known_machines(options, found["offer"]["machines"])
                found["combinations"] = share.check(known)
            return found
        finally:
            shutil.rmtree(share.folder, ignore_errors=True)

    def _do_part(self, options: Options, share: Share, host: str, facts: Result) -> Result:
        hosts = options["hosts"] or [host]
        trouble = ""
        part: HostPart | None = None
        if len(hosts) > 1:
            # What all hosts have is known, so that nobody waits for the first one's answer.
            share.begin(known_machines(options))
            if not share.ledger.is_open():
                # There were more hosts than can be at it at once, and these have done it all.
                return self._leave(options, share, hosts, "")
        try:
            with self.work_folder() as place:
                part = HostPart(self, options, share, host, place)
                self.shell(f"mkdir -p {shlex.quote(place)}/orders {shlex.quote(place)}/files")
                done = self.follow(MODULE, arguments(options, place), place, facts, part)
            if done.get("failed") or part.at_it:
                trouble = _trouble(done)
        except PlayEnded:
            if share.begun:
                conclude(share, options, interrupted=True)
            raise
        except AnsibleActionFail:
            # People have written something wrong.
            raise
        except (AnsibleConnectionFailure, AnsibleError, EngineError, OSError) as error:
            trouble = " ".join(str(error).split())
        if not share.begun:
            return {"failed": True, "msg": trouble or "the host did not say what it has"}
        if trouble:
            display.warning(f"{host}: {trouble}")
            share.ledger.put_back(host, set(part.at_it) if part else (), f"{host}: {trouble}")
        return self._leave(options, share, hosts, trouble)

    def _leave(
        self, options: Options, share: Share, hosts: t.Collection[str], trouble: str
    ) -> Result:
        """Be at it no more; the result of this host."""
        result: Result = {"changed": True, "summary": [], "failure": "", "trouble": trouble}
        if share.leave(hosts):
            result |= conclude(share, options)
            shutil.rmtree(share.folder, ignore_errors=True)
        return result

    def lay_down(self, files: t.Mapping[str, str], place: str) -> dict[str, str]:
        """Have ``files`` in the folder ``place`` of the host; their paths by name."""
        if self._connection.transport == "local" and not self._is_become_unprivileged():
            return dict(files)
        temporary = self._make_tmp_path()
        try:
            found = {}
            for name, path in files.items():
                handed = self._connection._shell.join_path(temporary, name)
                self._transfer_file(path, handed)
                self._fixup_perms2([temporary, handed], execute=False)
                # To where it goes with all the rest.
                found[name] = f"{place}/{name}"
                self.shell(
                    f"mkdir -p {shlex.quote(place)} && "
                    f"cp {shlex.quote(handed)} {shlex.quote(found[name])}"
                )
            return found
        finally:
            self._remove_tmp_path(temporary, force=True)

    def bring_home(self, logs: str, place: str, home: str) -> None:
        """Unpack what is in the folder ``logs`` of the host in the new folder ``home``."""
        path = f"{place}/results.tar.gz"
        packed = shlex.quote(path)
        pack = (
            f"tar --create --use-compress-program='gzip -1' --file={packed} "
            f"--directory={shlex.quote(logs)} ."
        )
        piece = f"dd if={packed} bs={_PIECE} count=1 status=none skip=%d | base64 --wrap=0"
        said = self.shell(f"{pack} && wc -c < {packed} && {piece % 0}")
        size, _newline, text = said.strip().partition("\n")
        with tempfile.TemporaryFile(dir=C.DEFAULT_LOCAL_TMP) as archive:
            try:
                archive.write(base64.b64decode(text.strip(), validate=True))
                for number in range(1, -(-int(size) // _PIECE)):
                    text = self.shell(piece % number)
                    archive.write(base64.b64decode(text.strip(), validate=True))
                if archive.tell() != int(size):
                    raise ValueError(f"{archive.tell()} of {size} bytes have come")
            except ValueError as error:
                raise AnsibleActionFail(f"The results in {logs} did not come: {error}") from error
            archive.seek(0)
            unpack_results(archive, home)


def _trouble(done: Result) -> str:
    """Why a module ended before its work was done, in words for people."""
    said = [line.strip() for line in str(done.get("msg") or "").splitlines() if line.strip()]
    if any(line.startswith("Traceback") for line in said):
        return f"its module died ({said[-1]})"
    return " ".join(said) or "its module ended too soon"
