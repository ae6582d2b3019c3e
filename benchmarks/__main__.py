# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the benchmarks: ``scripts/bench.sh``, which sets up what they need."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import subprocess
import sys
import time
import typing as t
from pathlib import Path

from helpers.images import tiny_image
from helpers.site import Site, site

from . import agent, everyday, hello, hosts, idle, matrix, starts, tftp, throughput, web
from .figures import Figure, table
from .machines import make_host

PARTS = (
    *("starts", "tftp", "idle", "throughput", "together", "agent", "everyday", "matrix"),
    *("hello", "web", "hosts"),
)
QUICK = ("tftp", "idle")
# What needs no site, and what needs machines on it.
ALONE = frozenset({"tftp", "web", "hosts"})
MACHINES = frozenset(PARTS) - ALONE - {"idle"}


def circumstances() -> dict[str, t.Any]:
    """Where and when the figures were taken."""
    qemu = subprocess.run(
        ["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=False
    )
    with open("/proc/cpuinfo", encoding="utf-8") as cpuinfo:
        models = [
            line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")
        ]
    return {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{len(models)} × {models[0]}" if models else "unknown",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "qemu": qemu.stdout.splitlines()[0] if qemu.returncode == 0 else "none",
        "accelerator": "tcg",
        "load": os.getloadavg()[0],
    }


def measure(figures: list[Figure], parts: t.Collection[str], runs: int, *, quick: bool) -> None:
    """Add the figures of ``parts`` to ``figures``, as they come."""
    if MACHINES & set(parts):
        # Its packages come from a mirror, which nobody in the namespace can reach.
        tiny_image()
    if "hello" in parts:
        hello.fetch()
    if "tftp" in parts:
        figures += tftp.measure(runs, 16 if quick else 64)
    if "web" in parts:
        figures += web.measure(runs)
    if "hosts" in parts:
        figures += hosts.measure(runs, hosts.FEW if quick else hosts.SIZES)
    if set(parts) <= ALONE:
        return
    with contextlib.ExitStack() as stack:
        place: Site = stack.enter_context(site())
        stack.enter_context(place.namespace.entered())
        if "idle" in parts:
            figures += idle.measure(place, runs, 20 if quick else 100)
        if MACHINES & set(parts):
            host = make_host(place, ["tiny", "tiny2"])
            if "starts" in parts:
                figures += starts.measure(host, runs)
            if "throughput" in parts:
                figures += throughput.measure(host, runs)
            if "together" in parts:
                figures += throughput.measure_together(host, runs)
            if "agent" in parts:
                figures += agent.measure_busy(host)
            if "everyday" in parts:
                figures += everyday.measure(host, runs)
            if "matrix" in parts:
                figures += matrix.measure(host, runs)
        if "hello" in parts:
            figures += hello.measure(place, runs)
        if "agent" in parts:
            figures += agent.measure_idle(place, 60)


def render(figures: t.Sequence[Figure], around: t.Mapping[str, t.Any]) -> str:
    """The table for people, in Markdown."""
    head, *rows = table(figures)
    lines = [head, ["---"] * len(head), *rows]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return (
        f"{around['date']}, {around['cpu']}, kernel {around['kernel']}, {around['qemu']} "
        f"({around['accelerator']}), Python {around['python']}; load average before "
        f"{around['load']:.1f}; median (least–most)\n\n{text}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench.sh", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--runs", type=int, default=5, help="of each figure (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="what needs no machine, on small samples"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="for figures.json and plots")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    if os.geteuid() != 0:
        parser.error("run as root: it makes a network namespace, a file system and machines")

    around = circumstances()
    parts = arguments.parts or (QUICK if arguments.quick else PARTS)
    figures: list[Figure] = []
    try:
        measure(figures, parts, arguments.runs, quick=arguments.quick)
    finally:
        # What has been measured until something failed is there all the same.
        figures.sort(key=lambda figure: (len(figure.id.rstrip("ab")), figure.id))
        print(render(figures, around), end="")
        if arguments.output is not None:
            save(figures, around, arguments.output)
    return 0


def save(figures: t.Sequence[Figure], around: t.Mapping[str, t.Any], place: Path) -> None:
    """Leave the figures and plots of them in the folder ``place``."""
    place.mkdir(parents=True, exist_ok=True)
    described = {**around, "figures": [figure.describe() for figure in figures]}
    (place / "figures.json").write_text(json.dumps(described, indent=2) + "\n")
    # Not every user of the figures has the plotting library.
    from .plot import draw, draw_curves

    draw(figures, place / "plot.svg")
    if any(figure.curve for figure in figures):
        draw_curves(figures, place / "curves.svg")


if __name__ == "__main__":
    sys.exit(main())
