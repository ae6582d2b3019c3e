#!/usr/bin/env bash
# Builds the documentation as a site, into .cache/site/html. A link that leads nowhere fails it.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
site=.cache/site

export LC_ALL=C.UTF-8
export ANSIBLE_COLLECTIONS_PATH=$root/.cache/collections
BBOT_VERSION=$(sed -n 's/^version: //p' galaxy.yml)
export BBOT_VERSION

mkdir -p "$site"
if ! cmp -s docs/site/requirements.txt "$site/installed"; then
  rm -rf "$site/venv"
  .venv/bin/python -m venv "$site/venv"
  "$site/venv/bin/python" -m pip install --quiet --disable-pip-version-check -r docs/site/requirements.txt
  cp docs/site/requirements.txt "$site/installed"
fi

# Where they are in the repository, so that links between them hold.
rm -rf "$site/pages" "$site/html"
mkdir -p "$site/pages"
git ls-files -z --cached --others --exclude-standard -- '*.md' 'docs/images/*' 'benchmarks/*.svg' \
  | xargs --null cp --parents --target-directory="$site/pages"
cp docs/site/conf.py docs/site/*.rst "$site/pages/"
install -d -m 0700 "$site/pages/reference"
PATH=$root/$site/venv/bin:$PATH "$site/venv/bin/antsibull-docs" collection --use-current --squash-hierarchy \
  --fail-on-error --dest-dir "$site/pages/reference" bbot.agent > "$site/reference.log" 2>&1 \
  || { cat "$site/reference.log"; exit 1; }
"$site/venv/bin/sphinx-build" --builder html --quiet --fail-on-warning --keep-going --nitpicky "$site/pages" "$site/html"
echo "the site is in $site/html: $(find "$site/html" -name '*.html' | wc -l) pages"
