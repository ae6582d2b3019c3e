#!/usr/bin/env bash
# Takes the pictures of docs/web.md anew, of a host that the tests make up: scripts/pictures.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p docs/images
BBOT_PICTURES=$PWD/docs/images exec .venv/bin/python -m pytest -q -n0 tests/component/test_web_page.py -k pictures "$@"
