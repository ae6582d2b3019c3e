# Copyright (c) 2026, The bbot.agent founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The agent's key: real openssl, and an openssl that fails, lies or is not there."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import typing as t
from pathlib import Path

import pytest
from ansible_collections.bbot.agent.plugins.module_utils._engine.controller.auth import (
    AuthError,
    Identity,
    Key,
)
from ansible_collections.bbot.agent.plugins.module_utils._engine.formats.base64 import decode
from ansible_collections.bbot.agent.plugins.module_utils._engine.records.exchange import (
    TaskResponse,
)

CHALLENGE = "0123456789abcdef" * 4


def run(args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
    done = subprocess.run(args, input=data, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def openssl(*words: str) -> bytes:
    return subprocess.run(["openssl", *words], capture_output=True, check=True).stdout


@pytest.fixture(scope="module")
def rsa(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    words = ("-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(path))
    openssl("genpkey", *words)
    path.chmod(0o600)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that passes for a key as long as nobody looks into it."""
    path = tmp_path / "key.pem"
    path.write_text("key\n")
    path.chmod(0o600)
    return path


def fake(path: Path, answer: t.Any, signature: bytes | None = None) -> Key:
    """A key whose openssl gives `answer`, or raises it, and leaves `signature` if there is one."""

    def run(args: t.Sequence[str], *, data: str | None = None) -> tuple[int, str, str]:
        if signature is not None:
            Path(args[args.index("-out") + 1]).write_bytes(signature)
        if isinstance(answer, Exception):
            raise answer
        return t.cast("tuple[int, str, str]", answer)

    return Key(run, str(path), "/x/openssl", ("-engine", "token"))


def test_the_fingerprint_is_that_of_the_public_key(rsa: Path) -> None:
    der = openssl("pkey", "-in", str(rsa), "-pubout", "-outform", "DER")
    assert Key(run, str(rsa)).fingerprint() == hashlib.sha256(der).hexdigest()


def test_the_answer_is_the_challenge_itself_signed(rsa: Path, tmp_path: Path) -> None:
    response = TaskResponse("s", challenge=CHALLENGE)
    answer = Identity("host", Key(run, str(rsa))).answer(response)
    assert answer is not None
    signature, public = tmp_path / "signature", tmp_path / "public"
    signature.write_bytes(decode(answer))
    public.write_bytes(openssl("pkey", "-in", str(rsa), "-pubout"))
    words = ("-verifyrecover", "-pubin", "-inkey", str(public), "-in", str(signature))
    assert openssl("pkeyutl", *words) == CHALLENGE.encode()


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage\n", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"],
)
def test_a_file_that_is_no_key(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    key = Key(run, str(path))
    for use in (key.fingerprint, lambda: key.answer(CHALLENGE)):
        with pytest.raises(AuthError, match="which has to be an RSA key without a passphrase"):
            use()


def test_a_passphrase_is_nobodys_to_be_asked_for(rsa: Path, path: Path) -> None:
    words = ("-in", str(rsa), "-aes256", "-passout", "pass:secret", "-out", str(path))
    openssl("pkey", *words)
    path.chmod(0o600)
    with pytest.raises(AuthError, match="without a passphrase"):
        Key(run, str(path)).fingerprint()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "cannot read the key .*: No such file"),
        (lambda path: path.chmod(0o640), r"by others \(mode 0640\); run: chmod 600"),
        (lambda path: path.chmod(0o602), r"by others \(mode 0602\)"),
        (lambda path: (path.unlink(), path.mkdir()), "it is not a file"),
        (lambda path: (path.unlink(), os.mkfifo(path)), "it is not a file"),
        (lambda path: (path.unlink(), path.symlink_to(path)), "symbolic links"),
    ],
    ids=["gone", "read by others", "changed by others", "folder", "pipe", "loop"],
)
def test_a_key_that_is_not_ours_alone_is_not_used(
    path: Path, spoil: t.Callable[[Path], object], words: str
) -> None:
    spoil(path)
    key = fake(path, AssertionError("it is not to be run"))
    for use in (key.fingerprint, lambda: key.answer(CHALLENGE)):
        with pytest.raises(AuthError, match=words) as caught:
            use()
        assert not caught.value.temporary
        assert caught.value.culprit == "host"


def pem(content: str) -> str:
    return f"-----BEGIN PUBLIC KEY-----\n{content}\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((0, "", ""), "openssl printed none"),
        ((0, "no key at all", ""), "openssl printed none"),
        ((0, pem(""), ""), "openssl printed none"),
        ((0, pem("not base64!"), ""), "openssl printed none"),
        ((0, pem("AAA"), ""), "openssl printed none"),
        (OSError(12, "Cannot allocate memory"), "cannot read the public key: .*Cannot allocate"),
        ((0, "-----BEGIN PUBLIC KEY-----\nAAAA\n", ""), "openssl printed none"),
        ((1, "", "a\nb"), "/x/openssl pkey .* failed with exit status 1: a b"),
        ((-9, "", ""), "exit status -9: no message"),
    ],
)
def test_an_openssl_that_prints_no_key(path: Path, answer: t.Any, words: str) -> None:
    with pytest.raises(AuthError, match=words):
        fake(path, answer).fingerprint()


def test_what_openssl_prints_beside_the_key_is_no_part_of_it(path: Path) -> None:
    printed = f'engine "token" set.\n{pem(base64.b64encode(b"key").decode())}more\n'
    assert fake(path, (0, printed, "")).fingerprint() == hashlib.sha256(b"key").hexdigest()


@pytest.mark.parametrize(
    ("answer", "signature", "words"),
    [
        ((0, "", ""), None, "openssl left no answer"),
        ((0, "", ""), b"", "openssl left no answer"),
        ((1, "", "no engine"), b"partial", "cannot sign a challenge with .*: no engine"),
        (OSError(12, "Cannot allocate memory"), None, "cannot sign .*: Cannot allocate memory"),
        (FileNotFoundError(2, "No such file", "/x/openssl"), None, "/x/openssl: No such file"),
    ],
)
def test_an_openssl_that_signs_nothing(
    path: Path, answer: t.Any, signature: bytes | None, words: str
) -> None:
    with pytest.raises(AuthError, match=words):
        fake(path, answer, signature).answer(CHALLENGE)


def test_a_full_disk_is_no_fault_of_the_key(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with pytest.raises(AuthError, match="cannot sign a challenge") as caught:
        fake(path, (0, "", ""), b"signature").answer(CHALLENGE)
    assert caught.value.temporary


def test_nothing_of_the_challenge_stays_behind(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    assert fake(path, (0, "", ""), b"signature").answer(CHALLENGE) == b"signature"
    for answer in ((1, "", "no"), RuntimeError("odd")):
        with pytest.raises((AuthError, RuntimeError)):
            fake(path, answer).answer(CHALLENGE)
    assert list(place.iterdir()) == []


def test_a_host_without_openssl(path: Path) -> None:
    key = Key(run, str(path), "no-such-openssl")
    with pytest.raises(AuthError, match="no program 'no-such-openssl'"):
        key.fingerprint()


def test_who_has_no_key_answers_no_challenge(path: Path) -> None:
    nobody = Identity("host")
    assert nobody.fingerprint() is None
    assert nobody.answer(TaskResponse("s")) is None
    with pytest.raises(AuthError, match="there is no key; name one with --auth-key"):
        nobody.answer(TaskResponse("s", challenge=CHALLENGE))
    # Nor does one with a key where nobody asks.
    key = fake(path, AssertionError("it is not to be run"))
    assert Identity("host", key).answer(TaskResponse("s")) is None
