# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Machines of other architectures and releases than the host's: real ones, emulated."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.conversation import Waits
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.values import Status
from helpers import guest, sources, vms
from helpers.build_host import BuildHost, make_task
from helpers.images import foreign_image
from helpers.real_sources import debian
from helpers.site import Site

HELLO = "31e066137a962676e89f69d1b65382de95a7ef7d914b8cb956f41ea72e0f516b"
# What the kernel, and a 4-byte number in memory, say.
PROBE = """\
uname -m
python3 -c 'import struct, sys; print("order:", sys.byteorder, struct.pack("=I", 1).hex())'
"""


@dataclasses.dataclass(frozen=True)
class Kind:
    """An architecture: Debian's name, the kernel's, its byte order, the release that has it."""

    debian: str
    cpu: str
    order: str = "little 01000000"
    release: str = "bookworm"


KINDS = [
    Kind("arm64", "aarch64"),
    Kind("s390x", "s390x", "big 00000001"),
    Kind("armhf", "armv7l"),
    Kind("ppc64el", "ppc64le"),
    Kind("riscv64", "riscv64", release="trixie"),
    Kind("amd64", "x86_64", release="bullseye"),
    Kind("amd64", "x86_64", release="trixie"),
    Kind("amd64", "x86_64", release="sid"),
]
COMPILING = ("aarch64", "s390x")


def bootstrapped_on(site: Site, image: Path) -> Machine:
    """The machine of the image, bootstrapped with our worker."""
    host = BuildHost(site)
    (name,) = re.findall("^name: (.*)$", (image / "manifest").read_text(), re.MULTILINE)
    source = site.btrfs / image.name
    host.copy(image, source, read_only=False)
    host.install(name, source=source)
    with site.namespace.entered():
        ensured = host.ensure(name, Waits(startup=300, total=300, retries=0, shutdown=60))
        assert ensured.failure is None, host.lines
        host.assert_clean()
    return ensured.machine


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            kind,
            id=f"{kind.cpu}-{kind.release}",
            # One of the other order of bytes.
            marks=() if kind.cpu == "s390x" else pytest.mark.long,
        )
        for kind in KINDS
    ],
)
def foreign(request: pytest.FixtureRequest, site: Site) -> tuple[Kind, Machine]:
    """A tiny machine of another architecture, bootstrapped with our worker."""
    kind: Kind = request.param
    image = foreign_image(kind.debian, kind.cpu, kind.release)
    return kind, bootstrapped_on(site, image)


@pytest.fixture(
    scope="module",
    params=[kind for kind in KINDS if kind.cpu in COMPILING],
    ids=lambda kind: kind.cpu,
)
def compiling(request: pytest.FixtureRequest, site: Site) -> tuple[Kind, Machine, Path]:
    """A machine of Debian with a compiler, bootstrapped, and the sources of GNU hello."""
    kind: Kind = request.param
    packages = ("gcc", "libc6-dev", "make")
    image = foreign_image(kind.debian, kind.cpu, kind.release, packages)
    source = debian("hello", "hello_2.10.orig.tar.gz", HELLO)
    return kind, bootstrapped_on(site, image), source


def test_a_task_is_performed_booted_and_resumed(
    host: BuildHost, foreign: tuple[Kind, Machine], tmp_path: Path
) -> None:
    kind, machine = foreign
    host.install_bootstrapped(machine, machine.name)
    files = {"source.tar.gz": str(sources.pack(tmp_path / "source.tar.gz", PROBE))}
    # Some do not go on reliably from a saved state, so they are not asked to.
    refused = kind.cpu in ("ppc64le", "s390x")
    for warm in (False, True):
        if warm:
            ensured = host.ensure(machine.name, running={"warm": [machine.name]})
            assert ensured.changed is not refused
            assert (f"emulated {kind.cpu} does not" in ensured.unsaved) is refused
        outcome = host.perform(
            make_task(machine=machine.name), files=files, warm=[machine.name] if warm else []
        )
        assert outcome.result.status is Status.SUCCESS, outcome.result.logs
        assert outcome.start is not None
        assert outcome.start.warm is (warm and not refused), outcome.start.reason
        assert (f"emulated {kind.cpu} does not" in outcome.start.reason) is (warm and refused)
        lines = outcome.result.logs["update"].splitlines()
        assert kind.cpu in lines
        assert f"order: {kind.order}" in lines


def test_the_power_button_ends_it(host: BuildHost, foreign: tuple[Kind, Machine]) -> None:
    _kind, machine = foreign
    place = host.install_scripted(machine, f"echo it is up\n{guest.SLEEP}", machine.name)
    host.storage.set_read_only(str(place), False)
    facts = {"name": f"{machine.name}-default", "options": vms.options(machine)}
    with vms.a_vm(host, place, **facts) as (vm, network):
        vm.start(network)
        vms.read_console(vm, b"it is up")
        vm.power_down()
        assert vm.wait(vms.PATIENCE)
        assert vm.exit_status == 0


@pytest.mark.long
def test_a_real_package_is_built_and_tested(
    host: BuildHost, compiling: tuple[Kind, Machine, Path]
) -> None:
    kind, machine, source = compiling
    host.install_bootstrapped(machine, machine.name)
    outcome = host.perform(
        make_task(
            name="hello",
            version="2.10",
            machine=machine.name,
            **{"target-config": "config.bbot.operations=configure,update,test"},
        ),
        files={"source.tar.gz": str(source)},
        waits=Waits(startup=300, total=3000, retries=0),
        cpu=2,
        ram=1 << 20,
    )
    print(kind.cpu, outcome.start, outcome.phases)
    assert outcome.result.status is Status.SUCCESS, outcome.result.logs
    assert outcome.report.driver == "autotools"
    assert outcome.report.tests["test"] == {"passed": 4, "failed": 0, "skipped": 1}
    assert f"checking build system type... {kind.cpu}" in outcome.result.logs["configure"]
