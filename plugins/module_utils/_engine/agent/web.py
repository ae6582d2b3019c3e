# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This file is private to this collection and may change at any time.
"""The command `bbot-agent web`: a page that shows what goes on, to look at only."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
import typing as t

from ..controller.journal import FILE, Journal, JournalError
from ..host.diagnostics import Diagnostics
from ..linux.process import Runner
from ..linux.sd_notify import ServiceManager
from ..machine.suspended import Suspensions
from ..web.access import Names, Passwords
from ..web.pages import Pages, Sources
from ..web.server import Bounds, Server, Site
from .options import PLACES, HelpFormatter, OptionsError, Parser, add_options, read_command
from .places import make_host
from .settings import Places
from .status import collect

_OPTIONS = (*PLACES, "systemd_daemon")
_LISTEN = "127.0.0.1:8090"
# Suspended machines are looked at with the limits of nobody: none is too many or too old.
_NO_LIMIT = 1 << 62


def make_web_parser() -> Parser:
    """Return what reads the command line of `bbot-agent web`."""
    parser = Parser(
        prog="bbot-agent web",
        description="Show machines, tasks, their logs and trends as pages for a browser, to look "
        "at only, until a signal ends it. They are for this host alone unless told otherwise.",
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--listen", metavar="ADDRESS:PORT", default=_LISTEN, help="where to be reached")
    add(
        "--name",
        metavar="NAME",
        action="append",
        default=[],
        help="a name that browsers reach it by, beside addresses, localhost and this host's",
    )
    add("--certificate", metavar="FILE", default="", help="the certificates for TLS, in PEM")
    add("--key", metavar="FILE", default="", help="the private key for TLS, in PEM")
    add(
        "--password-file",
        metavar="FILE",
        default="",
        help="who may see it: lines of USER:HASH, with hashes as mkpasswd makes them",
    )
    add(
        "--anybody",
        action="store_true",
        help="let anybody see it who reaches it, though that is not this host alone",
    )
    parser.add_argument(
        "--options-file", metavar="FILE", action="append", help="a file of the agent's options"
    )
    add_options(parser, _OPTIONS)
    return parser


def serve(arguments: t.Sequence[str], run: Runner, say: Diagnostics) -> int:
    """Serve the pages as the command line ``arguments`` say, until a signal. The exit status.

    Raises EngineError and OSError.
    """
    options = read_command(make_web_parser(), arguments, _OPTIONS)
    address, port = _address(options.listen)
    _check(options, address)
    pages = Pages(_sources(options, run, say))
    # A journal that cannot be read is what the pages say then.
    with contextlib.suppress(JournalError):
        pages.prepare()
    site = Site(
        answer=pages.answer,
        trouble=pages.trouble,
        names=Names([socket.gethostname(), *options.name]),
        passwords=Passwords(options.password_file) if options.password_file else None,
        tls=_tls(options),
        report=say.report,
    )
    with contextlib.closing(_socket(address, port)) as sock:
        where = _shown(sock, tls=site.tls is not None)
        manager = ServiceManager()

        def ready() -> None:
            say.info(f"the page is at {where}")
            manager.status(where)
            manager.ready()

        asyncio.run(Server(site, Bounds()).serve(sock, ready))
    return 0


def _sources(options: argparse.Namespace, run: Runner, say: Diagnostics) -> Sources:
    host = make_host(t.cast(Places, options), run, say.report)
    journal = Journal(os.path.join(options.state_dir, FILE), read_only=True)
    suspensions = Suspensions(host, _NO_LIMIT, float(_NO_LIMIT))
    return Sources(
        collect=lambda: collect(host, journal, suspensions),
        journal=journal,
        logs=options.log_dir,
        host=socket.gethostname(),
    )


def _address(text: str) -> tuple[str, int]:
    """Return address and port. Raises OptionsError."""
    address, colon, port = text.rpartition(":")
    address = address.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(address)
    except ValueError:
        colon = ""
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise OptionsError(
            f"--listen {text} is not ADDRESS:PORT, such as {_LISTEN}, 0.0.0.0:8090 or [::]:8090"
        )
    return address, int(port)


def _check(options: argparse.Namespace, address: str) -> None:
    """Have nobody shown what was not meant for them. Raises OptionsError."""
    if bool(options.certificate) != bool(options.key):
        raise OptionsError("--certificate and --key are for TLS together: give both or none")
    if ipaddress.ip_address(address).is_loopback:
        return
    if options.password_file and not options.certificate:
        raise OptionsError(
            f"--listen {options.listen} would have passwords go over the network as they are: give "
            "--certificate and --key, or listen on 127.0.0.1 behind a proxy that has TLS"
        )
    if not options.password_file and not options.anybody:
        raise OptionsError(
            f"--listen {options.listen} would show logs to whoever reaches this host: give "
            "--password-file with --certificate and --key, or --anybody if that is meant"
        )


def _tls(options: argparse.Namespace) -> ssl.SSLContext | None:
    if not options.certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(options.certificate, options.key)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise OptionsError(
            f"cannot use the certificate {options.certificate} with the key {options.key}: {reason}"
        ) from error
    return context


def _socket(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return socket.create_server((address, port), family=family, backlog=512)
    except OSError as error:
        raise OptionsError(
            f"cannot listen on {address}, port {port}: {error.strerror or error}"
        ) from error


def _shown(sock: socket.socket, *, tls: bool) -> str:
    address, port = sock.getsockname()[:2]
    place = f"[{address}]" if ":" in address else address
    return f"http{'s' if tls else ''}://{place}:{port}/"
