#!/usr/bin/env bash
# Sets up what the checks need and runs all of them: static checks and
# documentation, ansible-test on the oldest and the newest ansible-core, then the
# tests, whose summary comes last.
#
#   scripts/test.sh              all that, with a build host provisioned from scratch
#   scripts/test.sh everything   more build hosts, too: of other releases, several, and an ordinary user's
#   scripts/test.sh static       the checks that run nothing
#   scripts/test.sh sanity       ansible-test
#   scripts/test.sh coverage     what share of the engine's lines its unit tests run
#   scripts/test.sh hosts        build hosts provisioned from scratch; further arguments name the scenarios
#   scripts/test.sh tests        the tests; further arguments go to pytest
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
. scripts/packages.sh

what=${1:-all}
shift || :

export LC_ALL=C.UTF-8
# Images of gigabytes are made there: /tmp may be in memory.
export TMPDIR=${TMPDIR:-/var/tmp}
export ANSIBLE_HOME=$root/.cache/ansible
export ANSIBLE_COLLECTIONS_PATH=$root/.cache/collections

step()
{
  printf '\n== %s\n' "$*"
}

# What is said within seconds.
lint()
{
  local run=.venv/bin
  step "shellcheck"
  git ls-files -z -- '*.sh' .ci/run roles/toolchain/files/bootstrap 'roles/machine_image/files/builder/guest/*' ':!*.service' \
    'roles/machine_image/files/services/*' \
    | xargs --null --no-run-if-empty shellcheck --external-sources
  step "ruff"
  $run/ruff check .
  $run/ruff format --check .
  step "yamllint"
  $run/yamllint --strict .
}

static()
{
  local run=.venv/bin
  step "mypy"
  MYPYPATH=.cache/collections $run/mypy -p ansible_collections.bbot.agent.plugins
  MYPYPATH=roles/machine_image/files/builder $run/mypy roles/machine_image/files/builder
  MYPYPATH=roles/toolchain/worker $run/mypy --strict -p bbot_worker
  $run/mypy --strict roles/toolchain/files/pack_worker.py
  MYPYPATH=roles/agent/files/alerts $run/mypy --strict -p bbot_alerts
  $run/mypy --strict roles/agent/files/metrics
  step "changelog"
  # Without an ansible.cfg: this tool reads it with another working directory.
  $run/antsibull-changelog lint
  step "documentation"
  PATH=$root/.venv/bin:$PATH $run/antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all .
  step "the site"
  scripts/site.sh
  step "ansible-lint"
  fetch_awx
  PATH=$root/.venv/bin:$PATH ANSIBLE_COLLECTIONS_PATH=$ANSIBLE_COLLECTIONS_PATH:$root/.cache/foreign \
    $run/ansible-lint --offline --profile production
  step "galaxy-importer"
  import_artifact
}

# Builds the artifact and has it read as Galaxy does: file lists, galaxy.yml, README, changelog, the documentation of
# all plugins and roles. A warning is an error here.
import_artifact()
{
  local place=$root/.cache/importer log=$root/.cache/importer.log
  if ! cmp -s tests/requirements-importer.txt "$place/installed"; then
    rm -rf "$place"
    .venv/bin/python -m venv "$place"
    "$place/bin/python" -m pip install --quiet --disable-pip-version-check -r tests/requirements-importer.txt
    cp tests/requirements-importer.txt "$place/installed"
  fi
  make_tree
  rm -rf "$place/built"
  mkdir "$place/built"
  (cd "$root/.cache/tree/ansible_collections/bbot/agent" \
    && "$place/bin/ansible-galaxy" collection build --output-path "$place/built" > /dev/null)
  (cd "$place/built" && PATH=$place/bin:$PATH GALAXY_IMPORTER_CONFIG=$root/tests/galaxy-importer.cfg \
    "$place/bin/python" -m galaxy_importer.main bbot-agent-*.tar.gz) > "$log" 2>&1 || { cat "$log"; return 1; }
  if grep -E '^(WARNING|ERROR)' "$log" || ! grep -q 'completed successfully' "$log"; then
    cat "$log"
    return 1
  fi
}

# The modules that playbooks/awx_configure.yml calls, so that its arguments are checked: the last package that
# has them for the oldest Python here.
fetch_awx()
{
  local version=12.3.0 place=.cache/foreign
  [ ! -e "$place/$version" ] || return 0
  rm -rf "$place"
  mkdir -p "$place"
  .venv/bin/python -m pip download --quiet --disable-pip-version-check --no-deps --dest "$place" "ansible==$version"
  .venv/bin/python - "$place" << 'EOF'
import pathlib
import sys
import zipfile

place = pathlib.Path(sys.argv[1])
(wheel,) = place.glob("ansible-*.whl")
with zipfile.ZipFile(wheel) as archive:
    names = [name for name in archive.namelist() if name.startswith("ansible_collections/awx/awx/")]
    archive.extractall(place, names)
wheel.unlink()
EOF
  touch "$place/$version"
}

# Programs out of Debian's packages: those would start servers. Some 20 MB to download.
fetch_programs()
{
  fetch_program prometheus usr/bin/promtool
  fetch_program nginx usr/sbin/nginx
}

# fetch_program <package> <path in it>
fetch_program()
{
  local place=$root/.cache/programs name=${2##*/}
  [ ! -x "$place/$name" ] || return 0
  mkdir -p "$place"
  rm -f "$place/$1"_*.deb
  (cd "$place" && apt-get download --quiet=2 "$1" 2> /dev/null)
  dpkg-deb --fsys-tarfile "$place/$1"_*.deb | tar --extract --to-stdout "./$2" > "$place/partial"
  rm "$place/$1"_*.deb
  chmod +x "$place/partial"
  mv "$place/partial" "$place/$name"
}

# ansible-test wants the checkout in a folder named ansible_collections/bbot/agent,
# and brings pip into its environments with a script from a host we do not need.
make_tree()
{
  local tree=$root/.cache/tree/ansible_collections/bbot/agent
  rm -rf "$tree"
  mkdir -p "$tree" "$root/.cache/home/.ansible/test/cache"
  git ls-files -z --cached --others --exclude-standard \
    | tar --create --null --files-from=- --ignore-failed-read 2> /dev/null | tar --extract --directory="$tree"
  # Of its own: else ansible-test asks our repository, which ignores this folder.
  git init --quiet "$tree"
  cat > "$root/.cache/home/.ansible/test/cache/get_pip_25_2.py" << 'EOF'
import subprocess
import sys

arguments = [one for one in sys.argv[1:] if one not in ("--no-setuptools", "--no-wheel")]
# In a process of its own: ensurepip overrides pip's configuration.
subprocess.check_call([sys.executable, "-m", "ensurepip"])
sys.exit(subprocess.call([sys.executable, "-m", "pip", "install", *arguments]))
EOF
  cp "$root/.cache/home/.ansible/test/cache/get_pip_25_2.py" "$root/.cache/home/.ansible/test/cache/get_pip_24_2.py"
}

# ansible_test <folder of the environment> <Python version> <option of sanity>...
ansible_test()
{
  local environment=$1 version=$2 tree=$root/.cache/tree/ansible_collections/bbot/agent path
  path=$environment/bin:$(real_pythons)$PATH
  shift 2
  step "ansible-test sanity, $("$environment/bin/python" -c 'import ansible.release as r; print("ansible-core", r.__version__)')"
  (cd "$tree" && HOME=$root/.cache/home PATH=$path ansible-test sanity --local --python "$version" --color no "$@")
  step "ansible-test units, Python $version"
  # The worker knows nothing of ansible-core, and its tests take minutes: pytest runs them once.
  (cd "$tree" && HOME=$root/.cache/home PATH=$path ansible-test units --local --python "$version" --color no \
    --exclude tests/unit/worker/)
}

# What share of the engine's lines its unit tests run. It doubles their time, and takes as much to sum up.
coverage()
{
  make_tree
  local tree=$root/.cache/tree/ansible_collections/bbot/agent path version
  path=$root/.venv/bin:$(real_pythons)$PATH
  version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  step "unit tests, and the lines of the engine that they run"
  (cd "$tree" && HOME=$root/.cache/home PATH=$path ansible-test units --local --python "$version" --color no \
    --exclude tests/unit/worker/ --coverage)
  (cd "$tree" && HOME=$root/.cache/home PATH=$path ansible-test coverage report --include '*/_engine/*' --color no)
}

# The folders of pyenv's interpreters: its shims answer for versions that are not selected.
real_pythons()
{
  local folder
  for folder in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin; do
    if [ -d "$folder" ]; then
      printf '%s:' "$folder"
    fi
  done
}

sanity()
{
  make_tree
  local version
  version=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  # The newest ansible-core wants a newer Python, which not every machine has.
  local newest
  newest=$(PATH=$(real_pythons)$PATH command -v python3.13 || :)
  if [ -z "$newest" ]; then
    echo "no Python 3.13 here: the newest ansible-core is not checked"
    ansible_test "$root/.venv" "$version"
    return
  fi
  # The newer one has the newer pylint, which takes longer than all else.
  ansible_test "$root/.venv" "$version" --skip-test pylint
  if ! cmp -s tests/requirements-newest.txt .cache/newest/installed; then
    rm -rf .cache/newest
    "$newest" -m venv .cache/newest
    .cache/newest/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements-newest.txt
    cp tests/requirements-newest.txt .cache/newest/installed
  fi
  ansible_test "$root/.cache/newest" 3.13
}

tests()
{
  step "tests"
  fetch_awx
  fetch_programs
  # Two at a time, each with a site of its own: guests are waited for most of the time. In the order of the
  # folders: the last file is to be a short one.
  .venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations=40 --durations-min=10 "$@"
}

# hosts <scenario>...: each from a bare host and back, by Molecule
hosts()
{
  local scenario
  for scenario in "$@"; do
    step "build hosts: $scenario${BBOT_RELEASE:+, $BBOT_RELEASE}"
    PATH=$root/.venv/bin:$PATH NO_COLOR=1 .venv/bin/molecule test --scenario-name "$scenario" < /dev/null
  done
}

# Hosts and guests are waited for much of the time: all goes on beside the tests, and is printed afterwards.
all()
{
  local log=$root/.cache/checks.log said=$root/.cache/tests.log status=0
  lint
  step "the tests, and beside them: static checks, build hosts, ansible-test"
  # Groups of their own, to be ended whole. Not local: the trap is run outside of this function.
  set -m
  (set -e; static; hosts default; sanity) > "$log" 2>&1 < /dev/null &
  checks=$!
  # ansible-test runs the rest of the unit tests on both Pythons.
  (set -e; tests --ignore tests/unit/engine --ignore tests/unit/plugins tests/integration tests/component tests/unit \
    2>&1 < /dev/null | tee "$said") &
  suite=$!
  set +m
  trap end_all EXIT
  # Whichever fails, nobody waits for the other.
  if wait -n "$checks" "$suite" && wait "$checks" && wait "$suite"; then
    trap - EXIT
  else
    status=1
    trap - EXIT
    end_all
  fi
  cat "$log"
  step "tests"
  tail -n 1 "$said"
  return "$status"
}

# What all() has started, where it does not come to its end.
end_all()
{
  kill -- "-$checks" "-$suite" 2> /dev/null || :
  wait "$checks" "$suite" || :
  PATH=$root/.venv/bin:$PATH .venv/bin/molecule destroy --scenario-name default > /dev/null 2>&1 < /dev/null || :
}

more_hosts()
{
  BBOT_RELEASE=trixie hosts default
  hosts fleet ordinary containers
}

# Lua by its version: else its interpreter and the headers may be of different ones.
install_packages \
  arch-test atftp autoconf automake btrfs-progs busybox-static cargo chromium cmake cpio curl debhelper dnsmasq-base \
  dpkg-dev e2fsprogs fakeroot faketime fonts-dejavu-core g++ gcc git golang-go iproute2 kmod libc6-dev liblua5.1-0-dev \
  libmodule-build-perl libtool lintian lua-busted lua5.1 luarocks lz4 lzip make man-db mandoc meson mmdebstrap mount msmtp nftables \
  ninja-build openssh-client openssh-server openssl perl pkg-config procps python3-pip python3-pytest \
  python3-pytest-cov python3-requests python3-setuptools python3-venv python3-wheel python3-yaml qemu-system-arm qemu-system-misc \
  qemu-system-x86 qemu-user-static rake rpm rpmlint ruby ruby-minitest scons seabios shellcheck slirp4netns \
  systemd-container tftp-hpa tftpd-hpa uidmap umoci \
  util-linux xfsprogs xz-utils zstd
# Images of other architectures are put together by their own programs. Where systemd runs it has told the kernel how.
if [ ! -e /proc/sys/fs/binfmt_misc/qemu-aarch64 ]; then
  mountpoint --quiet /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
  /usr/lib/systemd/systemd-binfmt
fi
# Node.js from elsewhere brings npm.
command -v npm > /dev/null || install_packages nodejs npm
# Some 250 MB to download, for tests that are run by -m long only.
if [[ " $* " == *long* ]]; then
  install_packages default-jdk-headless dosfstools fdisk gradle help2man junit4 maven maven-debian-helper mtools ovmf \
    qemu-system-ppc qemu-utils ruby-rspec skopeo syslinux texinfo
fi
scripts/setup.sh dev

case $what in
  all) all ;;
  everything) lint; static; sanity; hosts default; more_hosts; tests tests/integration tests/component tests/unit ;;
  static) lint; static ;;
  sanity) sanity ;;
  coverage) coverage ;;
  hosts) hosts "${@:-default}" ;;
  tests) tests "$@" ;;
  *)
    echo "usage: scripts/test.sh [everything|static|sanity|coverage|hosts [SCENARIO...]|tests [PYTEST ARGUMENT...]]" >&2
    exit 2
    ;;
esac
