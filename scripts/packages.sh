# shellcheck shell=bash
# Sourced: installs Debian packages that are missing, quietly; tells who is not root how to get them.
install_packages()
{
  local missing=() package
  for package in "$@"; do
    if ! dpkg-query --show --showformat='${db:Status-Status}' "$package" 2> /dev/null | grep -qx installed; then
      missing+=("$package")
    fi
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ]; then
    echo "${0##*/}: packages are missing; have root run: apt-get install --no-install-recommends ${missing[*]}" >&2
    return 1
  fi
  echo "installing packages: ${missing[*]}"
  apt-get update --quiet=2
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}" > /dev/null
}
