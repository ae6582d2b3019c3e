# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page behind nginx, configured as the documentation says."""

from __future__ import annotations

import contextlib
import http.client
import re
import subprocess
import typing as t
from pathlib import Path

import pytest
from helpers.agents import ROOT
from helpers.devtools import Browser
from helpers.ports import free_port, listens
from helpers.waiting import until
from helpers.web import WebHost, WebServer

# scripts/test.sh has taken it out of Debian's package.
NGINX = ROOT / ".cache" / "programs" / "nginx"
NAME = "build1.example.org"
_CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        {location}
    }}
}}
"""


def documented(below: bool) -> tuple[str, str]:
    """The location that docs/web.md has, and its path; ``below`` is for the one with a path."""
    text = (ROOT / "docs" / "web.md").read_text()
    whole, begin = re.findall(r"```nginx\n(.*?)```", text, re.DOTALL)
    if below:
        whole = begin + "".join(whole.splitlines(keepends=True)[2:])
    (path,) = re.findall("^location (/.*) {", whole)
    return whole, path


@pytest.fixture
def host(tmp_path: Path) -> t.Iterator[WebHost]:
    with contextlib.closing(WebHost(tmp_path / "host")) as made:
        made.ended()
        yield made


@pytest.fixture(params=[False, True], ids=["root", "path"])
def address(request: pytest.FixtureRequest, host: WebHost, tmp_path: Path) -> t.Iterator[str]:
    """Where nginx has the page."""
    port = free_port()
    location, path = documented(request.param)
    with WebServer(host, "--name", NAME) as server:
        location = location.replace("127.0.0.1:8090", f"127.0.0.1:{server.port}")
        assert str(server.port) in location
        file = tmp_path / "nginx.conf"
        file.write_text(_CONFIGURATION.format(folder=tmp_path, port=port, location=location))
        with subprocess.Popen([NGINX, "-e", "stderr", "-c", file]) as nginx:
            try:
                until(lambda: listens(port), "nginx")
                yield f"http://127.0.0.1:{port}{path}"
            finally:
                nginx.terminate()


def test_it_is_live_and_its_links_lead_on(host: WebHost, address: str, tmp_path: Path) -> None:
    with Browser(tmp_path) as browser:
        browser.go(address)
        browser.wait("document.getElementById('live').textContent.includes('as it comes')")
        number = host.running("12:00:00 | the first\n")
        link = f"document.querySelector('#running a[href$=\"task/{number}\"]')"
        browser.wait(f"{link} !== null")
        browser.ask(f"{link}.click(); 1")
        browser.wait("document.getElementById('log').textContent.includes('the first')")
        assert browser.ask("location.href") == f"{address}task/{number}"
        entry = host.journal.get(number)
        assert entry is not None and entry.logs is not None
        with (Path(entry.logs) / "agent.log").open("a") as file:
            file.write("12:00:01 | <i>second</i>\n")
        browser.wait("document.getElementById('log').textContent.includes('<i>second</i>')")
        browser.go(f"{address}history?q=hello")
        browser.ask("document.querySelector('table a').click(); 1")
        browser.wait(f"location.href.startsWith('{address}task/') && document.body !== null")
        assert browser.trouble == []


def test_the_name_that_browsers_know_is_passed_on(address: str) -> None:
    port, path = re.findall(r":(\d+)(/.*)", address)[0]
    for name, status in ((NAME, 200), ("rebound.example.org", 421)):
        line = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
        with contextlib.closing(line):
            line.request("GET", path, headers={"Host": name})
            assert line.getresponse().status == status, name
