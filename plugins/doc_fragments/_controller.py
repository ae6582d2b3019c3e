# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This fragment is private to this collection and may change at any time.

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  request_timeout:
    description: For how many seconds to wait for the whole of an exchange with a controller.
    type: int
    default: 300
  connect_timeout:
    description: For how many seconds to wait for the beginning of an exchange.
    type: int
    default: 60
  ca_cert:
    description: A file on the build host with the certificates to trust, instead of the host's own.
    type: path
  proxy:
    description: The URL of a proxy, instead of the one that the environment names.
    type: str
"""
