# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A super-server for one machine's TFTP: what inetd is to in.tftpd.

``inetd.py <address> <port> <QEMU's pid> <file> <program> <argument>…``: runs the program whenever
there is a request, with the socket for its input, until ``file`` is there. Tells of the first
request, with QEMU's CPU seconds then.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import time


def main() -> None:
    address, port, pid, awaited, *command = sys.argv[1:]
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, int(port)))
    machine = os.pidfd_open(int(pid))
    told = False
    while not os.path.exists(awaited):
        if machine in select.select([sock, machine], [], [])[0]:
            raise SystemExit("the machine has ended without a result")
        if not told:
            now = time.time()
            with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                fields = stat.read().rpartition(")")[2].split()
            cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
            print(f"request {now} {cpu}", flush=True)
            told = True
        subprocess.run(command, stdin=sock, check=False)


if __name__ == "__main__":
    main()
