# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As much of AWX's API as keeps what awx_configure.yml makes, and renders jobs of it as AWX does.

What AWX refuses is refused where that matters to us. Arguments are checked by the modules of the
collection awx.awx, which are the real ones.
"""

from __future__ import annotations

import dataclasses
import http.server
import itertools
import json
import threading
import typing as t
import urllib.parse
from pathlib import Path

import jinja2
import yaml

Object = dict[str, t.Any]
SECRETS = ("key", "ssh_key_data", "become_password")
ENCRYPTED = "$encrypted$"
TYPES = {"Machine": "ssh", "Vault": "vault", "Ansible Galaxy/Automation Hub API Token": "galaxy"}
ROLES = ("admin_role", "execute_role", "read_role")
# What the fields of an object that are ids of others are ids of.
REFERS = {
    "organization": "organizations",
    "inventory": "inventories",
    "project": "projects",
    "credential_type": "credential_types",
}


class Refused(Exception):
    """A request that AWX answers with a status of 400 or more."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclasses.dataclass(frozen=True)
class Launch:
    """A job as AWX hands it to ansible-runner."""

    playbook: str
    check: bool
    variables: Object
    inventory: Object
    environment: dict[str, str]
    # Each a name, and what is in it; names in the environment are to become paths.
    files: dict[str, str]
    # The variables of credentials, which go before all others.
    more_variables: list[Object]


class Awx:
    """AWX's objects, served at ``url`` for the length of a with statement."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[int, Object]] = {}
        self.links: dict[tuple[int, str], list[int]] = {}
        self.writes: list[str] = []
        # How syncs of projects end.
        self.sync = "successful"
        self._ids = itertools.count(1)
        types = {name: self.add("credential_types", name=name) for name in TYPES}
        galaxy = types["Ansible Galaxy/Automation Hub API Token"]
        token = self.add("credentials", name="Ansible Galaxy", credential_type=galaxy, inputs={})
        default = self.add("organizations", name="Default")
        self.links[default, "galaxy_credentials"] = [token]

    def __enter__(self) -> Awx:
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def add(self, endpoint: str, /, **fields: t.Any) -> int:
        """Make an object; its id."""
        number = next(self._ids)
        self.objects.setdefault(endpoint, {})[number] = {"id": number, **fields}
        return number

    def find(self, kind: str, name: str) -> Object:
        """The one object of this name."""
        (found,) = [each for each in self.objects.get(kind, {}).values() if each["name"] == name]
        return found

    def names(self, kind: str) -> set[str]:
        return {each["name"] for each in self.objects.get(kind, {}).values()}

    def linked(self, kind: str, name: str, link: str) -> set[str]:
        """The names of what an object is associated with."""
        everything = {
            number: each for group in self.objects.values() for number, each in group.items()
        }
        numbers = self.links.get((self.find(kind, name)["id"], link), [])
        return {everything[number]["name"] for number in numbers}

    def granted(self, kind: str, name: str, role: str) -> set[str]:
        """The names of the teams that have a role."""
        number = _role(self.find(kind, name), role)
        teams = self.objects.get("teams", {})
        return {teams[each]["name"] for each in self.links.get((number, "teams"), [])}

    # Requests.

    def get(self, path: list[str], query: dict[str, str]) -> t.Any:
        if len(path) == 1:
            found = [self._view(kind, each) for kind, each in self._all(path[0])]
            return _page([each for each in found if self._matches(each, query)])
        kind, number = path[0], int(path[1])
        if len(path) == 2:
            return self._view(kind, self.objects[kind][number])
        if path[2] == "survey_spec":
            return self.objects[kind][number].get("survey_spec", {})
        wanted = self.links.get((number, path[2]), [])
        return _page(
            [
                self._view(other, each)
                for other, group in self.objects.items()
                for each in group.values()
                if each["id"] in wanted
            ]
        )

    def post(self, path: list[str], data: Object) -> tuple[int, Object]:
        if len(path) == 1:
            number = self.add(path[0], **self._sent(path[0], {}, data))
            return 201, self._view(path[0], self.objects[path[0]][number])
        kind, number = path[0], int(path[1])
        if path[2] == "survey_spec":
            self.objects[kind][number]["survey_spec"] = data
            return 200, {}
        linked = self.links.setdefault((number, path[2]), [])
        if data.get("disassociate"):
            linked.remove(data["id"])
        else:
            self._check_link(kind, path[2], linked, data["id"])
            linked.append(data["id"])
        return 204, {}

    def patch(self, path: list[str], data: Object) -> Object:
        kind, number = path[0], int(path[1])
        former = self.objects[kind][number]
        sent = self._sent(kind, former, data)
        used = [each["credential_type"] for each in self.objects.get("credentials", {}).values()]
        if kind == "credential_types" and number in used and sent.get("inputs") != former["inputs"]:
            raise Refused(403, "Modifications to inputs are not allowed for types that are in use")
        former.update(sent)
        return self._view(kind, former)

    def delete(self, path: list[str]) -> tuple[int, Object]:
        if len(path) == 3:
            self.objects[path[0]][int(path[1])].pop(path[2], None)
            return 200, {}
        del self.objects[path[0]][int(path[1])]
        return 204, {}

    def _check_link(self, kind: str, link: str, linked: list[int], number: int) -> None:
        """A template has one credential of each type, but several of the type Vault."""
        if (kind, link) == ("job_templates", "credentials"):
            credentials = self.objects["credentials"]
            types = {credentials[each]["credential_type"] for each in linked}
            vault = self.find("credential_types", "Vault")["id"]
            if credentials[number]["credential_type"] in types - {vault}:
                raise Refused(400, "Cannot assign multiple credentials of one type")

    def _sent(self, kind: str, former: Object, data: Object) -> Object:
        """What is written: $encrypted$ is for what is there."""
        if kind == "credentials" and "inputs" in data:
            kept = former.get("inputs", {})
            inputs = {k: kept[k] if v == ENCRYPTED else v for k, v in data["inputs"].items()}
            return {**data, "inputs": inputs}
        if kind == "projects":
            return {"status": self.sync, "scm_revision": "1", **data}
        if kind == "job_templates":
            project = self.objects["projects"][data.get("project") or former["project"]]
            return {**data, "organization": project["organization"]}
        return data

    def _all(self, kind: str) -> t.Iterator[tuple[str, Object]]:
        kinds = [kind]
        if kind == "unified_job_templates":
            kinds = ["job_templates", "workflow_job_templates", "projects"]
        for each in kinds:
            for found in self.objects.get(each, {}).values():
                yield each, found

    def _view(self, kind: str, found: Object) -> Object:
        """An object as AWX shows it."""
        url = f"/api/v2/{kind}/{found['id']}/"
        roles = {role: {"id": _role(found, role)} for role in ROLES}
        view = {
            **found,
            "url": url,
            "type": {"inventories": "inventory"}.get(kind, kind.removesuffix("s")),
            "related": {name: f"{url}{name}/" for name in ("survey_spec", "hosts", "children")},
            "summary_fields": {"object_roles": roles},
        }
        if kind == "credentials":
            inputs = found.get("inputs", {})
            view["inputs"] = {k: ENCRYPTED if k in SECRETS else v for k, v in inputs.items()}
            view["kind"] = TYPES.get(
                self.objects["credential_types"][found["credential_type"]]["name"]
            )
        return view

    def _matches(self, found: Object, query: dict[str, str]) -> bool:
        either = {name[4:]: value for name, value in query.items() if name.startswith("or__")}
        others = {k: v for k, v in query.items() if not k.startswith(("or__", "page"))}
        return all(self._equal(found, *each) for each in others.items()) and (
            not either or any(self._equal(found, *each) for each in either.items())
        )

    def _equal(self, found: Object, name: str, wanted: str) -> bool:
        first, _dummy, rest = name.partition("__")
        value = found.get(first)
        if rest == "in":
            return str(value) in wanted.split(",")
        if rest == "startswith":
            return str(value).startswith(wanted)
        if rest:
            other = self.objects[REFERS[first]].get(value or 0)
            return other is not None and self._equal(other, rest, wanted)
        return str(value) == wanted

    # Jobs.

    def launch(self, template: str, *, check: bool = False, **answers: t.Any) -> Launch:
        """Render a job of a template, as AWX's models do."""
        found = self.find("job_templates", template)
        survey = found.get("survey_spec", {}).get("spec", []) if found["survey_enabled"] else []
        asked = {each["variable"]: each for each in survey}
        if ignored := set(answers) - set(asked):
            raise Refused(400, f"no question asks for {ignored}")
        defaults = {name: each["default"] for name, each in asked.items() if each.get("default")}
        files: dict[str, str] = {}
        environment: dict[str, str] = {}
        more: list[Object] = []
        for number in self.links.get((found["id"], "credentials"), []):
            self._inject(self.objects["credentials"][number], files, environment, more)
        return Launch(
            playbook=found["playbook"].removeprefix("playbooks/"),
            check=check,
            variables={**json.loads(found["extra_vars"]), **defaults, **answers},
            inventory=self._inventory(found["inventory"]),
            environment=environment,
            files=files,
            more_variables=more,
        )

    def _inject(
        self,
        credential: Object,
        files: dict[str, str],
        environment: dict[str, str],
        more: list[Object],
    ) -> None:
        kind = self.objects["credential_types"][credential["credential_type"]]
        injectors = kind.get("injectors", {})
        # A field without a value is an empty text.
        fields = {each["id"]: "" for each in kind.get("inputs", {}).get("fields", [])}
        known: Object = {**fields, **credential["inputs"], "tower": {"filename": {}}}
        for name, text in injectors.get("file", {}).items():
            file = f"{credential['id']}-{name}"
            files[file] = jinja2.Template(text).render(known)
            known["tower"]["filename"][name.partition(".")[2]] = f"@{file}@"
        for name, text in injectors.get("env", {}).items():
            environment[name] = jinja2.Template(text).render(known)
        if injectors.get("extra_vars"):
            rendered = {
                k: jinja2.Template(v).render(known) for k, v in injectors["extra_vars"].items()
            }
            more.append(rendered)

    def _inventory(self, number: int) -> Object:
        def variables(each: Object) -> Object:
            return yaml.safe_load(each.get("variables") or "{}")

        groups = {
            each["name"]: {
                "hosts": [
                    self.objects["hosts"][host]["name"]
                    for host in self.links.get((each["id"], "hosts"), [])
                ],
                "vars": variables(each),
            }
            for each in self.objects.get("groups", {}).values()
            if each["inventory"] == number
        }
        hosts = {
            each["name"]: variables(each)
            for each in self.objects.get("hosts", {}).values()
            if each["inventory"] == number
        }
        everybody = {"hosts": list(hosts), "children": list(groups)}
        return {"all": everybody, **groups, "_meta": {"hostvars": hosts}}


def _role(found: Object, role: str) -> int:
    """The id of a role of an object."""
    number: int = found["id"] * 1000 + ROLES.index(role)
    return number


def _page(found: list[Object]) -> Object:
    return {"count": len(found), "next": None, "results": found}


def _handler(awx: Awx) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: t.Any) -> None:
            """Nobody reads it."""

        def _answer(self) -> tuple[int, t.Any]:
            url = urllib.parse.urlsplit(self.path)
            path = url.path.removeprefix("/api/v2/").strip("/").split("/")
            if self.command == "GET":
                return 200, awx.get(path, dict(urllib.parse.parse_qsl(url.query)))
            awx.writes.append(f"{self.command} {url.path}")
            if self.command == "DELETE":
                return awx.delete(path)
            data = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            return (200, awx.patch(path, data)) if self.command == "PATCH" else awx.post(path, data)

        def _serve(self) -> None:
            try:
                status, answer = self._answer()
            except Refused as refused:
                status, answer = refused.status, {"detail": str(refused)}
            body = b"" if status == 204 else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _serve

    return Handler


def write_files(launch: Launch, folder: Path) -> tuple[dict[str, str], list[str]]:
    """Write a job's files to its private folder; its environment, and words for the command."""
    environment = dict(launch.environment)
    for name, text in launch.files.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(text)
        environment = {k: v.replace(f"@{name}@", str(path)) for k, v in environment.items()}
    words = ["--check"] if launch.check else []
    for number, variables in enumerate(launch.more_variables):
        path = folder / f"variables-{number}"
        path.write_text(json.dumps(variables))
        words += ["-e", f"@{path}"]
    return environment, words
