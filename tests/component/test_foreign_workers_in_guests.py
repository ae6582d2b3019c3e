# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A worker of curl and the lz4 command alone, in real guests: as of bbot 0.14, and as of 2017."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers.build_host import BuildHost, make_task
from helpers.images import curl_image
from helpers.toolchains import install_toolchain

pytestmark = pytest.mark.long

RAM = 524288

TRANSFER = """\
get() { curl -fsS --tftp-blksize 1468 -o "$2" "tftp://$BBOT_TFTP/$1"; }
put() { curl -fsS --tftp-blksize 1468 -T "$1" "tftp://$BBOT_TFTP/$2"; }
"""

BUILD = """\
get source.tar.gz /run/source.tar.gz
mkdir /run/source
tar -C /run/source --strip-components=1 -xzf /run/source.tar.gz
status=success
sh /run/source/check > /run/log 2>&1 || status=error
printf ': 1\\nname: hello\\nversion: 1.0\\nstatus: %s\\n' $status > /run/result
echo "test-status: $status" >> /run/result
"""

# By the version of bbot.
LEGS = {
    # What is fetched, what is done with the result, and what reports a bootstrap.
    "2017": ("manifest", "put /run/result manifest\n", "manifest"),
    "0.14": (
        "task.manifest",
        """\
printf 'worker-checksum: 1\\ndependency-checksum: 2\\n' >> /run/result
mkdir /run/upload
cp /run/log /run/upload/log.txt
tar -C /run/upload -cf /run/upload.tar .
put /run/upload.tar upload.tar
lz4 -q -z /run/result /run/result.lz4
put /run/result.lz4 result.manifest.lz4
""",
        "bootstrap.manifest",
    ),
}


def bootstrap_of(version: str) -> str:
    """The script that makes a machine one with a worker of this version."""
    task, upload, report = LEGS[version]
    log = "{ printf 'test-log:\\\\\\n'; cat /run/log; printf '\\\\\\n'; } >> /run/result\n"
    worker = f"#!/bin/sh\nset -eu\n{TRANSFER}get {task} /run/task\n"
    worker += f"grep -q '^name: hello$' /run/task\n{BUILD}{log}{upload}"
    return f"""\
set -eu
{TRANSFER}
mkdir -p /var/lib/bbot
cat > /var/lib/bbot/startup << 'WORKER'
{worker}WORKER
chmod 755 /var/lib/bbot/startup
printf ': 1\\nbbot-version: 0.17.0\\nlibbbot-version: 0.17.0\\n' > /run/report
sync
put /run/report {report}
mount -o remount,ro / || sync
exec busybox poweroff -f
"""


def source_in(folder: Path, status: int) -> str:
    """An archive whose check prints something odd and ends with ``status``."""
    (folder / "hello").mkdir()
    (folder / "hello" / "check").write_text(f"echo 'a check: \u00fcber'\nexit {status}\n")
    archive = folder / "source.tar.gz"
    subprocess.run(["tar", "-C", str(folder), "-czf", str(archive), "hello"], check=True)
    return str(archive)


@pytest.fixture(scope="module")
def image() -> Path:
    """Made before a host is, in whose network there is nothing to download from."""
    return curl_image()


@pytest.mark.parametrize("version", LEGS)
def test_it_is_bootstrapped_and_builds(
    image: Path, host: BuildHost, tmp_path: Path, version: str
) -> None:
    source = host.machines / "source"
    host.copy(image, source, read_only=False)
    host.install("debian", source=source)
    install_toolchain(host.tftp, bootstrap=bootstrap_of(version), version="0.17.0")
    waits = Waits(startup=300, total=300, retries=0, shutdown=60)
    ensured = host.ensure("debian", waits, {"ram": RAM})
    assert ensured.failure is None, host.lines
    assert ensured.machine.state == "current", ensured.machine.reasons

    for number, (status, expected) in enumerate(((0, Status.SUCCESS), (3, Status.ERROR))):
        folder = tmp_path / str(number)
        folder.mkdir()
        files = {"source.tar.gz": source_in(folder, status)}
        done = host.perform(make_task(machine="debian"), waits=waits, files=files, ram=RAM)
        assert done.result.status is expected, done
        assert [(each.operation, each.status) for each in done.result.operations] == [
            ("test", expected)
        ]
        assert done.result.logs == {"test": "a check: \u00fcber"}
        assert done.result.dependency_checksum == ("2" if version == "0.14" else None)
        assert ("upload.tar" in done.artifacts) == (version == "0.14")
        host.assert_clean()
