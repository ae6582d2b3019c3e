#!/usr/bin/env bash
# Makes the Python environment .venv/ (with "dev": also what the tests need) and
# the link .cache/collections/ansible_collections/bbot/agent, by which Ansible
# finds this checkout under its collection name wherever it lies, and the link
# playbooks/collections, by which it does so from any folder.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=requirements.txt
[ "${1:-}" = dev ] && requirements=tests/requirements.txt

for python in "${PYTHON:-python3}" python3.13 python3.12 python3.11; do
  if "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    break
  fi
  python=
done
if [ -z "$python" ]; then
  echo "setup: no Python 3.11 or newer with venv; on Debian: apt-get install python3-venv" >&2
  exit 1
fi

mkdir -p .cache/collections/ansible_collections/bbot
ln -sfn ../../../.. .cache/collections/ansible_collections/bbot/agent
ln -sfn ../.cache/collections playbooks/collections

[ -x .venv/bin/python ] || "$python" -m venv .venv
# pip is slow even when there is nothing to do: the stamp holds what was installed.
stamp=.venv/installed-${1:-run}
if ! cmp -s "$stamp" <(cat requirements.txt "$requirements"); then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r "$requirements"
  cat requirements.txt "$requirements" > "$stamp"
fi
