# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What component and integration tests share: one site, a host for each test, a ready machine."""

from __future__ import annotations

import signal
import typing as t

import pytest

if t.TYPE_CHECKING:
    from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import (
        Machine,
    )
    from helpers.build_host import BuildHost
    from helpers.site import Site


def pytest_configure(config: pytest.Config) -> None:
    # Here, as ansible-test has an ini file of its own.
    config.addinivalue_line("markers", "long: takes many minutes; run by -m long")
    config.option.markexpr = config.option.markexpr or "not long"
    # So that a terminated run, too, unmounts and kills what it made.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))


@pytest.fixture(scope="session")
def site() -> t.Iterator[Site]:
    """Network and volume for the hosts of all tests."""
    # Here and below: unit tests are also run where the helpers are out of reach.
    from helpers.site import site

    with site() as made:
        yield made


@pytest.fixture(scope="session")
def bootstrapped(site: Site) -> Machine:
    """The tiny machine, bootstrapped with our worker, to be had by hosts as a snapshot."""
    from helpers.build_host import BuildHost
    from helpers.images import tiny_image

    image = tiny_image()
    host = BuildHost(site)
    source = site.btrfs / "tiny"
    host.copy(image, source, read_only=False)
    host.install(source=source)
    with site.namespace.entered():
        ensured = host.ensure()
        assert ensured.failure is None, host.lines
        host.assert_clean()
    assert ensured.machine.state == "current", ensured.machine.reasons
    return ensured.machine


@pytest.fixture
def host(site: Site) -> t.Iterator[BuildHost]:
    """A build host without machines, with a toolchain, to be left as clean as it is."""
    from helpers.build_host import BuildHost

    with site.namespace.entered():
        made = BuildHost(site)
        yield made
        made.assert_clean()


@pytest.fixture
def ready(host: BuildHost, bootstrapped: Machine) -> BuildHost:
    """A build host with the bootstrapped machine tiny."""
    host.install_bootstrapped(bootstrapped)
    return host
