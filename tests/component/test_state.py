# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Saving a real machine's state and starting from it."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from ansible_collections.bbot.agent.plugins.module_utils._engine.vm.protocol import VmError
from helpers.build_host import RAM, BuildHost
from helpers.vms import a_vm, options, read_console, status

# It counts in memory, and keeps the count on its disk.
COUNT = """
n=0
while :; do
  n=$((n + 1))
  echo $n >> /counted
  echo "tick $n of $(wc -l < /counted)."
  sleep 0.2
done
"""


@pytest.fixture
def counting(host: BuildHost, bootstrapped: Machine) -> t.Iterator[Path]:
    """A machine that counts."""
    path = host.install_scripted(bootstrapped, COUNT)
    host.storage.set_read_only(str(path), False)
    return path


def count(console: bytes) -> list[tuple[int, int]]:
    return [(int(n), int(m)) for n, m in re.findall(rb"tick (\d+) of (\d+)\.", console)]


def test_it_goes_on_where_it_was_saved(
    host: BuildHost, counting: Path, bootstrapped: Machine
) -> None:
    words = options(bootstrapped)
    file = host.root / "saved"
    with a_vm(host, counting, options=words) as (vm, network):
        vm.start(network)
        before = count(read_console(vm, b"tick 3 of 3."))[-1]
        state = vm.save(str(file))
        assert status(vm) == "postmigrate"
    assert state.path == str(file)
    assert not state.ram_apart
    assert file.stat().st_mode & 0o777 == 0o600

    for _again in range(2):
        # Each from the disk that the state belongs to.
        place = host.volume / "clone"
        host.storage.snapshot(str(counting), str(place))
        with a_vm(host, place, options=words) as (vm, network):
            vm.start(network, state=state)
            assert status(vm) == "paused"
            vm.resume()
            seen = read_console(vm, b"tick 7 of 7.")
            vm.power_down()
            assert vm.wait(30)
        host.storage.delete(str(place))
        assert b"starting the worker" not in seen
        assert count(seen)[0] > before
    host.assert_clean()


def test_ram_in_a_file_is_shared_by_those_that_start_from_it(
    host: BuildHost, counting: Path, bootstrapped: Machine
) -> None:
    words = options(bootstrapped)
    ram = os.memfd_create("ram")
    try:
        os.ftruncate(ram, RAM << 10)
        with a_vm(host, counting, options=words) as (vm, network):
            vm.start(network, ram=ram)
            read_console(vm, b"tick 3 of 3.")
            state = vm.save(str(host.root / "saved"))
        assert state.ram_apart
        assert os.stat(state.path).st_size < 4 << 20
        image = os.pread(ram, RAM << 10, 0)
        with (
            a_vm(host, counting, options=words) as (vm, network),
            pytest.raises(VmError, match="needs the RAM of machine tiny-default in a file"),
        ):
            vm.start(network, state=state)
        with a_vm(host, counting, options=words) as (vm, network):
            vm.start(network, state=state, ram=ram)
            vm.resume()
            assert b"starting the worker" not in read_console(vm, b"tick 6 of 6.")
        assert os.pread(ram, RAM << 10, 0) == image
    finally:
        os.close(ram)
    host.assert_clean()


def test_what_is_not_its_state_is_refused(
    host: BuildHost, counting: Path, bootstrapped: Machine
) -> None:
    words = options(bootstrapped)
    file = host.root / "saved"
    with a_vm(host, counting, options=words) as (vm, network):
        vm.start(network)
        read_console(vm, b"starting the worker")
        state = vm.save(str(file))
        with pytest.raises(VmError, match=r"cannot save machine tiny-default to .*: File exists"):
            vm.save(str(file))

    short = host.root / "short"
    short.write_bytes(file.read_bytes()[:100_000])
    foreign = host.root / "foreign"
    foreign.write_bytes(b"not a state at all")
    refusals = [
        ({"ram": 2 * RAM}, state, "is the state of another machine than tiny-default"),
        ({}, dataclasses.replace(state, qemu="6.0.0"), "was saved by QEMU 6.0.0, which QEMU 7"),
        ({}, dataclasses.replace(state, path=str(short)), "tiny-default did not start: .*load"),
        ({}, dataclasses.replace(state, path=str(foreign)), "tiny-default did not start: .*load"),
        ({}, dataclasses.replace(state, path="/none"), "cannot read /none: No such file"),
    ]
    for changes, refused, reason in refusals:
        with a_vm(host, counting, options=words, **changes) as (vm, network):
            with pytest.raises(VmError, match=reason):
                vm.start(network, state=refused)
            assert not vm.running()
    host.assert_clean()


def test_a_machine_that_cannot_be_saved_is_as_before(
    host: BuildHost, counting: Path, bootstrapped: Machine
) -> None:
    with a_vm(host, counting, options=options(bootstrapped)) as (vm, network):
        vm.start(network)
        read_console(vm, b"tick 2 of 2.")
        with pytest.raises(VmError, match=r"cannot save machine tiny-default to /nowhere/state"):
            vm.save("/nowhere/state")
        assert status(vm) == "paused"
        vm.resume()
        read_console(vm, b"tick 4 of 4.")
    host.assert_clean()
