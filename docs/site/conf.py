# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How Sphinx makes the site, of the pages that scripts/site.sh has laid out."""

from __future__ import annotations

import os

project = title = html_short_title = "bbot.agent"
author = project_copyright = "The bbot.agent founders"
version = release = os.environ["BBOT_VERSION"]

extensions = ["myst_parser", "sphinx_antsibull_ext"]
# Links go to headings by the names that they have on a forge.
myst_heading_anchors = 4
html_theme = "sphinx_ansible_theme"
html_show_sphinx = False
html_copy_source = False
html_use_index = False
pygments_style = "ansible"
highlight_language = "text"
default_role = "any"
# A link that leads nowhere is an error.
nitpicky = True
