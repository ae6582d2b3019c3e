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


class Watch:
    """Looks at a host's machines: ``seen`` are their users, each with those who own its disks."""

    def __init__(self, host: BuildHost) -> None:
        self._host = host
        self.seen: dict[int, set[int]] = {}

    def look(self) -> bool:
        """Look; that the outcome is still wanted."""
        found = {}
        for qemu in self._host.qemus():
            place = Path(f"/proc/{qemu}")
            owners = {path.stat().st_uid for path in (place / "cwd").glob("*.img")}
            found[place.stat().st_uid] = owners
        self.seen = found or self.seen
        return True


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_machine_has_the_first_user_that_is_free(
    ready: BuildHost, users: None, taken: int
) -> None:
    leases = [ready.engine().leases.take(what="task", place=place) for place in range(taken)]
    watch = Watch(ready)
    outcome = ready.perform(alive=watch.look)
    for lease in leases:
        lease.end()
    assert outcome.failure is None
    # Beyond those that there are it is the one whom all have.
    uid = [FIRST, SECOND, pwd.getpwnam(USER).pw_uid][taken]
    assert watch.seen == {uid: {uid}}


def test_a_template_serves_all_places(ready: BuildHost, users: None) -> None:
    ready.ensure(running={"warm": ["tiny"]})
    for place in range(2):
        leases = [ready.engine().leases.take(what="task", place=each) for each in range(place)]
        watch = Watch(ready)
        outcome = ready.perform(warm=["tiny"], alive=watch.look)
        for lease in leases:
            lease.end()
        assert outcome.start is not None
        assert (outcome.start.warm, outcome.start.reason) == (True, "")
        uid = [FIRST, SECOND][place]
        assert watch.seen == {uid: {uid}}
