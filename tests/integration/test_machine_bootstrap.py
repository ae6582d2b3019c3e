# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module machine_bootstrap through ansible-playbook."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible_collections.bbot.agent.plugins.module_utils._engine.machine.inventory import Machine
from helpers.build_host import BuildHost
from helpers.plays import playbook, refusal, run_tasks, write_play
from helpers.toolchains import install_toolchain

MODULE = "bbot.agent.machine_bootstrap"


def bootstrap(host: BuildHost, **options: t.Any) -> dict[str, t.Any]:
    return {MODULE: {**host.options(), **options}}


def checked(task: dict[str, t.Any]) -> dict[str, t.Any]:
    return {**task, "check_mode": True}


def by_name(result: dict[str, t.Any]) -> dict[str, dict[str, t.Any]]:
    return {machine["name"]: machine for machine in result["machines"]}


def subvolumes(host: BuildHost) -> dict[str, t.Any]:
    return {str(path): host.storage.info(str(path)) for path in host.volume.glob("*/*")}


def test_what_is_to_be_done_is_foreseen_done_and_not_done_again(
    host: BuildHost, tmp_path: Path
) -> None:
    host.install("current")
    host.install("gone")
    for name in ("current", "gone"):
        assert host.ensure(name, fake=True).changed
    host.install("fresh")
    (host.volume / "gone" / "gone-1").unlink()
    before = subvolumes(host)

    (foreseen,) = run_tasks(tmp_path, [checked(bootstrap(host))], "--diff")
    assert subvolumes(host) == before
    assert foreseen["changed"]
    plan = {name: (one["action"], one["why"]) for name, one in by_name(foreseen).items()}
    assert plan == {
        "current": ("none", []),
        "fresh": ("bootstrap", ["not bootstrapped for toolchain default"]),
        "gone": ("delete", ["there is no link gone-1 to a revision of it"]),
    }
    assert foreseen["accelerator"] is None
    assert foreseen["diff"] == {
        "before": {"current": "current", "fresh": "missing", "gone": "unlinked"},
        "after": {"current": "current", "fresh": "current", "gone": "gone"},
    }

    faked = bootstrap(host, fake=True)
    done, again = run_tasks(tmp_path, [faked, faked], "--diff")
    assert done["changed"]
    assert {n: (one["action"], one["why"]) for n, one in by_name(done).items()} == plan
    assert done["diff"] == foreseen["diff"]
    assert {one["state"] for one in by_name(done).values()} == {"current", "unlinked"}
    assert done["accelerator"] == {"name": "tcg", "reason": "as asked for"}
    assert not again["changed"]
    assert {one["action"] for one in by_name(again).values()} == {"none"}
    assert not (host.volume / "gone" / "gone-default").exists()

    # A new toolchain is foreseen with its reason, for the machine that has one.
    former = host.toolchain_id
    current = install_toolchain(host.tftp, files={"extra": "x"})
    before = subvolumes(host)
    foreseen, named = run_tasks(
        tmp_path, [checked(bootstrap(host)), checked(bootstrap(host, name="gone"))]
    )
    assert subvolumes(host) == before
    why = [f"the toolchain's id is {current}, it was bootstrapped with {former}"]
    assert by_name(foreseen)["current"]["why"] == why
    assert by_name(foreseen)["current"]["state"] == "obsolete"
    assert by_name(foreseen)["gone"]["action"] == "none"
    assert list(by_name(named)) == ["gone"]


def test_a_real_one_is_followed_live(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    play = tmp_path / "play.json"
    write_play(play, [bootstrap(host, retries=0, timeout=120)], tmp_path / "results.json")
    with playbook(tmp_path, str(play)) as process:
        assert process.stdout is not None
        lines = []
        while_running = []
        for line in process.stdout:
            lines.append(line.strip())
            if line.startswith("[localhost] phase first request"):
                while_running = host.qemus()
        assert process.wait() == 0, lines
    # It was shown when it happened, not in the end.
    assert len(while_running) == 1
    live = [line.removeprefix("[localhost] ") for line in lines if line.startswith("[localhost] ")]
    assert live[:2] == [
        "accelerator tcg: as asked for",
        "bootstrapping machine tiny: not bootstrapped for toolchain default",
    ]
    assert [line for line in live if line.startswith("phase ")] == [
        f"phase {name}"
        for name in (
            *("snapshot", "prepare", "start", "first request"),
            *("work", "upload", "shutdown", "down", "publish"),
        )
    ]
    assert "=== end" not in live
    assert host.machine().state == "current"
    assert not list(tmp_path.glob("**/bbot-follow.*"))


def test_refusals(host: BuildHost, bootstrapped: Machine, tmp_path: Path) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    plain = host.root / "machines" / "default" / "tiny" / "tiny-1.1"
    plain.mkdir(parents=True)
    (plain / "manifest").write_text(": 1\nid: x\nname: tiny\nsummary: x\ntype: kvm\n")
    (plain.parent / "tiny-1").symlink_to("tiny-1.1")
    # With a progress file of its own the module is not followed: that is faster.
    quick = {"progress_file": str(tmp_path / "progress")}
    cases: list[tuple[dict[str, t.Any], str]] = [
        (
            {"machines": str(plain.parents[2])},
            f"cannot snapshot subvolume {plain} to ",
        ),
        ({"name": "x"}, "no machine x on this host; there are: tiny"),
        ({"toolchain": "none"}, "no toolchain none in "),
        ({"bridge": "brnone"}, "no bridge brnone on this host; make it with the role"),
        ({"user": "bbot-none"}, "no user bbot-none on this host; make it with the role"),
        ({"cpu": 0}, "cpu must be at least 1, not 0"),
        ({"ram": 1000}, "ram must be at least 16384, not 1000"),
        ({"tftp_port": 65536}, "tftp_port must be at most 65535, not 65536"),
        ({"retries": -1}, "retries must be at least 0, not -1"),
        ({"lock_timeout": 0}, "cannot bootstrap machine tiny for toolchain default: process "),
        ({"accelerator": "xen"}, "value of accelerator must be one of: auto, kvm, tcg, got: xen"),
    ]
    tasks = [bootstrap(host, **{"lock_timeout": 1, **quick, **case}) for case, _dummy in cases]
    locked = [i for i, (case, _dummy) in enumerate(cases) if "lock_timeout" in case]
    results = run_tasks(tmp_path, [task for i, task in enumerate(tasks) if i not in locked])
    with host.engine().lock("bootstrap-default-tiny-default", "see who waits"):
        results[locked[0] : locked[0]] = run_tasks(tmp_path, [tasks[i] for i in locked])
    for (_dummy, words), result in zip(cases, results, strict=True):
        assert words in refusal(result)
    assert host.machine().state == "missing"


def test_a_failed_machine_fails_the_module_with_all_that_is_known(
    host: BuildHost, bootstrapped: Machine, tmp_path: Path
) -> None:
    assert bootstrapped.revision is not None
    host.install(source=Path(bootstrapped.revision))
    host.install("current")
    assert host.ensure("current", fake=True).changed
    (result,) = run_tasks(tmp_path, [bootstrap(host, startup_timeout=1, retries=0)])
    assert refusal(result) == (
        "cannot bootstrap tiny: bootstrap startup timeout: no request within 1 s; "
        "see logs of each machine"
    )
    assert not result["changed"]
    tiny = by_name(result)["tiny"]
    assert tiny["failure"] == "bootstrap startup timeout: no request within 1 s"
    assert tiny["state"] == "missing"
    assert {path.name for path in Path(tiny["logs"]).iterdir()} == {
        *("console.log", "progress.log", "qemu.log"),
    }
    assert by_name(result)["current"]["failure"] is None
