# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the manual page of bbot-agent, for code hosts and for man, from its tables of options.

    .venv/bin/python scripts/manual.py

A test has it written once more, and compares.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
import textwrap
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".cache" / "collections"))

from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.cli import COMMANDS
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.commands import (
    make_command_parser,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.options import (
    PLACES,
    make_parser,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.run_options import (
    make_run_parser,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.settings import (
    Settings,
    options,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.agent.web import make_web_parser
from ansible_collections.bbot.agent.plugins.module_utils._engine.host.scope import SYSTEM
from ansible_collections.bbot.agent.plugins.module_utils._engine.release import VERSION

MARKDOWN = ROOT / "docs" / "bbot-agent.1.md"
ROFF = ROOT / "roles" / "agent" / "files" / "bbot-agent.1"
# When this text was written: pages without a date are not well-formed.
DATE = "2026-11-29"

# Root's places are told, whoever writes the page.
_SYSTEM_DEFAULTS = {
    "machines": SYSTEM.machines,
    "tftp": SYSTEM.tftp,
    "state_dir": SYSTEM.state,
    "runtime_dir": SYSTEM.runtime,
    "log_dir": SYSTEM.logs,
    "user": SYSTEM.user,
}
_GENERAL = "general"


@dataclasses.dataclass(frozen=True)
class Heading:
    """A heading, of a section or of something in one."""

    text: str
    level: t.Literal[1, 2] = 1


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph. What stands between backquotes is to be typed as it is."""

    text: str


@dataclasses.dataclass(frozen=True)
class Code:
    """Lines to be typed as they are."""

    lines: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Item:
    """A term, such as an option, what may be given with it, and what it means."""

    term: str
    value: str
    text: str


Block = Heading | Text | Code | Item


def page() -> list[Block]:
    """Return the page."""
    return [
        Heading("Name"),
        Text("bbot-agent - performs build tasks in throw-away machines"),
        Heading("Synopsis"),
        Code(
            (
                "bbot-agent [OPTION...] [PRIORITY=]URL...",
                *(_synopsis(name, _parser(name)) for name in COMMANDS),
            )
        ),
        Heading("Description"),
        Text(
            "Without a command, `bbot-agent` is an agent: it asks the controllers at the URLs for "
            "build tasks, performs each in a throw-away virtual machine or container, and hands "
            "the results back. It goes on until a signal ends it."
        ),
        Text(
            "With a command, it does something for a person: build a folder of theirs, or show "
            "what goes on. Commands find the host of the agents by the same options: see "
            "`--options-file`."
        ),
        Heading("Commands"),
        *(block for name in COMMANDS for block in _command(name)),
        Text(
            "Each command has `--help`, `--options-file FILE`, and these of the options below: "
            + ", ".join(f"`{_flag(name)}`" for name in PLACES)
            + "."
        ),
        Heading("Options"),
        Text("Times are in seconds. KIB stands for a number of KiB, which are 1024 bytes each."),
        *_options(),
        Heading("Priorities"),
        Text(
            "The priority of a controller is a number of up to five digits before its URL, "
            "`FDCBA=URL`. Digits that are left out are 0. A higher A is asked first. While a task "
            "of a higher B runs, controllers of a lower one are not asked. A higher C interrupts "
            "one task of a lower one if there is no room, and a higher D all of them. With an F of "
            "1 the task has all CPUs."
        ),
        Heading("Files of options"),
        Text(
            "Such a file has one option, or one URL, a line. What follows a # is a comment. An "
            "option that stands after `--options-file` counts more than the same one in the file."
        ),
        Code(
            (
                "# what machines get",
                "--cpu 4",
                "--ram 4194304",
                "https://ci.example.org/?build-task",
            )
        ),
        Heading("Signals"),
        Item("SIGTERM", "", "and SIGINT end the agent at once. Its tasks are given back."),
        Item("SIGUSR1", "", "ends it when the running tasks have ended."),
        Item("SIGHUP", "", "has it read its options again when the running tasks have ended."),
        Heading("Exit status"),
        Text("An agent, and every command but `run`, ends with 0 if all went well, else with 1."),
        Text(
            "`run` ends with 0 if the task went well, with 1 if it failed (see `--fail-on`), with "
            "2 if it was asked for in a wrong way, with 3 by a fault of the machine or of this "
            "host, and with 128 and the number of a signal that ended it. A matrix ends with the "
            "worst."
        ),
        Heading("Environment"),
        Item(
            "XDG_DATA_HOME",
            "",
            "and XDG_STATE_HOME, XDG_RUNTIME_DIR say where things are for those who are not root.",
        ),
        Item("NOTIFY_SOCKET", "", "and WATCHDOG_USEC are set by systemd, and make for a service."),
        Item("PATH", "", "is where programs are searched for, and then /usr/sbin and /sbin."),
        Heading("Files"),
        Item(
            SYSTEM.machines,
            "",
            "the machines. Those who are not root have them in ~/.local/share/bbot.",
        ),
        Item(
            SYSTEM.tftp, "", "what guests fetch and upload. Others have it beside their machines."
        ),
        Item(
            SYSTEM.state,
            "",
            "the journal of tasks, locks, leases, and machines that are suspended. Others have it "
            "in ~/.local/state/bbot-agent.",
        ),
        Item(SYSTEM.logs, "", "a folder of logs for each task. Others have it in the same place."),
        Item("/etc/bbot-agent", "", "the options of agents that the role bbot.agent.agent runs."),
        Heading("Examples"),
        Text("Ask a controller for tasks, and perform two at once:"),
        Code(
            (
                "bbot-agent --instance-max 2 --auth-key /etc/bbot-agent/key.pem \\",
                "  https://ci.example.org/?build-task",
            )
        ),
        Text("Build and test the project in this folder, on all machines of Debian:"),
        Code(("bbot-agent run --machine 'debian*'",)),
        Text("Follow what a task does, and end it:"),
        Code(("bbot-agent log hello --follow", "bbot-agent cancel hello")),
        Heading("See also"),
        Text(
            "The pages in docs/ of the collection bbot.agent: agent, task, matrix, machines, "
            "hosts, monitoring and troubleshooting. qemu-system-x86_64(1), systemd-nspawn(1), "
            "systemctl(1)."
        ),
    ]


def _parser(command: str) -> argparse.ArgumentParser:
    own = {"run": make_run_parser, "web": make_web_parser}
    return own[command]() if command in own else make_command_parser(command)


def _own(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return what the parser of a command has of its own."""
    table = options()
    return [
        action
        for action in parser._actions
        # One that is called like an option of the agent may be another one.
        if action.dest not in ("help", "options_file")
        and (action.dest not in table or action.help != table[action.dest].help)
    ]


def _synopsis(name: str, parser: argparse.ArgumentParser) -> str:
    words = [parser.prog, "[OPTION...]"]
    for action in _own(parser):
        if not action.option_strings:
            word = str(action.metavar)
            words.append({"*": f"[{word}...]", "+": f"{word}...", "?": f"[{word}]"}.get(
                str(action.nargs), word
            ))  # fmt: skip
    return " ".join(words)


def _command(name: str) -> t.Iterator[Block]:
    parser = _parser(name)
    yield Heading(_synopsis(name, parser), 2)
    yield Text(str(parser.description))
    for action in _own(parser):
        yield _item(action)
    own = {"help", "options_file", *PLACES, *(action.dest for action in _own(parser))}
    shared = [action.dest for action in parser._actions if action.dest not in own]
    if shared:
        names = ", ".join(f"`{_flag(each)}`" for each in shared)
        yield Text(f"Of the options below it has these, too: {names}.")


def _options() -> t.Iterator[Block]:
    parser = make_parser()
    actions = {action.dest: action for action in parser._actions}
    group = None
    for name, option in options().items():
        if (option.group or _GENERAL) != group:
            group = option.group or _GENERAL
            yield Heading(group.capitalize(), 2)
            if group == _GENERAL:
                for each in ("help", "version", "options_file"):
                    yield _item(actions[each])
        yield _item(actions[name], name)


def _item(action: argparse.Action, name: str = "") -> Item:
    """Return an argument: its name, its value, and its help with the default."""
    value = str(action.metavar or ("|".join(action.choices) if action.choices else ""))
    if action.metavar is None and not action.choices:
        takes_value = action.nargs != 0 and bool(action.option_strings)
        value = action.dest.upper() if takes_value else ""
    text = action.help or ""
    default = _SYSTEM_DEFAULTS.get(name, getattr(Settings(), name) if name else action.default)
    if default not in (None, "", False, argparse.SUPPRESS, (), []) and action.option_strings:
        shown = f"{default:.0f}" if isinstance(default, float) else default
        text = f"{text} (by default {shown})"
    if isinstance(action, argparse._AppendAction):
        text = f"{text}; may be given several times"
    text = f"{text[:1].upper()}{text[1:]}."
    if not action.option_strings:
        return Item(value, "", text)
    return Item(action.option_strings[0], value, text)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def markdown(blocks: t.Sequence[Block]) -> str:
    """Return the page as Markdown."""
    parts = ["# bbot-agent(1)", "<!-- scripts/manual.py writes this page. -->"]
    for block in blocks:
        if isinstance(block, Heading):
            code = "`" if block.level == 2 and " " in block.text else ""
            parts.append(f"{'#' * (block.level + 1)} {code}{block.text}{code}")
        elif isinstance(block, Code):
            parts.append("\n".join(["```", *block.lines, "```"]))
        elif isinstance(block, Item):
            value = f" {block.value}" if block.value else ""
            parts.append(f"- **`{block.term}{value}`**\n  {_safe(block.text)}")
        else:
            parts.append(_safe(block.text))
    text = "\n\n".join(parts) + "\n"
    # Items that follow each other are one list.
    return re.sub(r"(\n  [^\n]+\n)\n(?=- \*\*)", r"\1", text)


def _safe(text: str) -> str:
    """Return a text without what Markdown would take for its own, but for code."""
    parts = text.split("`")
    return "`".join(
        part if place % 2 else re.sub(r"([*_<>\[\]#~])", r"\\\1", part)
        for place, part in enumerate(parts)
    )


def roff(blocks: t.Sequence[Block]) -> str:
    """Return the page as man reads it."""
    lines = [
        '.\\" scripts/manual.py writes this page.',
        f'.TH BBOT\\-AGENT 1 "{DATE}" "bbot.agent {VERSION}" "bbot.agent"',
    ]
    after_heading = False
    for block in blocks:
        if isinstance(block, Heading):
            name = block.text.upper() if block.level == 1 else block.text
            lines.append(f".{'SH' if block.level == 1 else 'SS'} {_quoted(name)}")
        elif isinstance(block, Code):
            lines += [*([] if after_heading else [".PP"]), ".nf", ".RS 4"]
            lines += [_line(_escaped(line)) for line in block.lines]
            lines += [".RE", ".fi"]
        elif isinstance(block, Item):
            value = f" \\fI{_escaped(block.value)}\\fR" if block.value else ""
            lines += [".TP", f"\\fB{_escaped(block.term)}\\fR{value}", *_wrapped(block.text)]
        else:
            lines += [*([] if after_heading else [".PP"]), *_wrapped(block.text)]
        after_heading = isinstance(block, Heading)
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"' if " " in text else _escaped(text)


def _escaped(text: str) -> str:
    names = {"\\": "\\e", "-": "\\-", "`": "\\(ga", "'": "\\(aq", "~": "\\(ti", "^": "\\(ha"}
    return "".join(names.get(each, each) for each in text).replace('"', "\\(dq")


def _marked(text: str) -> str:
    """Return a text whose code is bold, and is not hyphenated."""
    parts = [_escaped(part) for part in text.split("`")]
    return "".join(f"\\fB\\%{part}\\fR" if place % 2 else part for place, part in enumerate(parts))


def _wrapped(text: str) -> list[str]:
    """Return the lines of a paragraph."""
    lines = textwrap.wrap(_marked(text), 78, break_long_words=False, break_on_hyphens=False)
    return [_line(line) for line in lines]


def _line(text: str) -> str:
    """Return a line that is not taken for a request."""
    return f"\\&{text}" if text[:1] in (".", "'") else text


if __name__ == "__main__":
    MARKDOWN.write_text(markdown(page()))
    ROFF.write_text(roff(page()))
