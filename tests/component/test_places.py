# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users of single machines: whom QEMU runs as, and what it has, cold and warm."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest
from helpers.build_host import USER, BuildHost

# As whom machines at the first and the second place run: there need not be such users.
FIRST, SECOND = 61001, 61002


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let there be two users of single machines."""
    real = pwd.getpwnam

    def getpwnam(name: str) -> pwd.struct_passwd:
        base = real(USER)
        uid = {f"{USER}-1": FIRST, f"{USER}-2": SECOND}.get(name)
        if uid is None:
            return real(name)
        return pwd.struct_passwd((name, "x", uid, base.pw_gid, "", "/", "/bin/false"))

    monkeypatch.setattr(pwd, "getpwnam", getpwnam)


def uids(host: BuildHost) -> dict[int, set[int]]:
    """The users of running machines, each with those who own its disks."""
    found = {}
    for qemu in host.qemus():
        place = Path(f"/proc/{qemu}")
        owners = {path.stat().st_uid for path in (place / "cwd").glob("*.img")}
        found[place.stat().st_uid] = owners
    return found


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_machine_has_the_first_user_that_is_free(
    ready: BuildHost, users: None, taken: int
) -> None:
    leases = [ready.engine().leases.take(what="task", place=place) for place in range(taken)]
    seen: list[dict[int, set[int]]] = []
    outcome = ready.perform(alive=lambda: bool(seen.append(uids(ready)) or True))
    for lease in leases:
        lease.end()
    assert outcome.failure is None
    # Beyond those that there are it is the one whom all have.
    uid = [FIRST, SECOND, pwd.getpwnam(USER).pw_uid][taken]
    assert [each for each in seen if each][-1] == {uid: {uid}}


def test_a_template_serves_all_places(ready: BuildHost, users: None) -> None:
    ready.ensure(running={"warm": ["tiny"]})
    for place in range(2):
        leases = [ready.engine().leases.take(what="task", place=each) for each in range(place)]
        seen: list[dict[int, set[int]]] = []
        outcome = ready.perform(
            warm=["tiny"], alive=lambda seen=seen: bool(seen.append(uids(ready)) or True)
        )
        for lease in leases:
            lease.end()
        assert outcome.start is not None
        assert (outcome.start.warm, outcome.start.reason) == (True, "")
        uid = [FIRST, SECOND][place]
        assert [each for each in seen if each][-1] == {uid: {uid}}
