# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines that are not the host's own Debian, by the plays: from nothing, back to nothing."""

from __future__ import annotations

import json
import shutil
import typing as t

import pytest
from helpers import sources
from helpers.images import mirror
from helpers.ordinary_user import User, ordinary_user
from helpers.root_archives import odd_archive
from helpers.waiting import until

pytestmark = pytest.mark.long

DEBIAN_13 = "x86_64-linux_debian_13-tiny"
# Where a user may leave something outside of the home.
SHARED = ("/tmp", "/var/tmp", "/run", "/dev/shm")
SAYS = """\
[ "$1" = update ] || exit 0
python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ -d /opt/python ] && echo "no Debian" || echo "a Debian, Python $python"
"""


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> t.Iterator[User]:
    with ordinary_user("bbot-foreign") as made:
        made.run("scripts/setup.sh")
        shutil.copy2(odd_archive(tmp_path_factory.mktemp("odd")), made.home / "odd.tar.zst")
        made.own(made.home / "odd.tar.zst")
        yield made


def test_they_are_provisioned_used_and_taken_back(user: User) -> None:
    source = sources.make_source(user.home / "hello", SAYS)
    user.own(source)
    outside, home = user.files(*SHARED), set(user.home.iterdir())
    archive = {
        "machine_image_variant": "archive",
        "machine_image_name": "odd",
        "machine_image_archive": str(user.home / "odd.tar.zst"),
        "machine_image_disk_size": 256,
    }
    debian = {
        "machine_image_variant": "tiny",
        "machine_image_release": "13",
        "machine_image_sources": [f"deb {mirror()} trixie main"],
    }
    for told in (archive, debian):
        user.play("provision", "-e", json.dumps(told))
        assert "changed=0 " in user.play("provision", "-e", json.dumps(told))
    share = user.home / ".local/share/bbot/machines/default"
    assert sorted(path.name for path in share.iterdir()) == ["odd", DEBIAN_13]

    command = str(user.home / ".local/bin/bbot-agent")
    for name, line in (("odd", "no Debian"), (DEBIAN_13, "a Debian, Python 3.13")):
        place = f"by-play-{name}"
        words = (f"source={source}", f"machine={name}", f"bbot_results={place}")
        told = user.play("run-task", *(each for word in words for each in ("-e", word)))
        assert f"hello 0.0.1 on {name}: success" in told
        (results,) = (user.clone / place).iterdir()
        assert line in (results / "update.log").read_text().splitlines()
        words = ("--machine", name, "--results", f"by-command-{name}")
        told = user.run(command, "run", str(source), *words, privileges=False)
        assert f"hello 0.0.1 on {name}: success" in told

    # Whatever it is told of, or not.
    user.play("decommission")
    until(lambda: user.processes() == [], "the end of all processes")
    assert set(user.home.iterdir()) == home
    assert user.files(*SHARED) == outside
