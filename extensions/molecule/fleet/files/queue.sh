#!/bin/sh
# Queues two tasks at a controller, whose source is served by HTTP, and waits for their results.
#
#   queue.sh PYTHON ADDRESS SECONDS    a task takes so many seconds
set -eu

python=$1 address=$2 seconds=$3
folder=$(mktemp -d)
server=
trap 'kill $server 2> /dev/null || :; rm -rf "$folder"' EXIT

"$python" - "$folder/hello.tar.gz" "$seconds" << 'EOF'
import sys
from pathlib import Path

from helpers.sources import pack

pack(Path(sys.argv[1]), f'[ "$1" != update ] || sleep {sys.argv[2]}\necho "doing $1"\n')
EOF
"$python" -m http.server --bind "$address" --directory "$folder" 8083 > /dev/null 2>&1 &
server=$!
for name in first second; do
  cat > "$folder/$name" << EOF
: 1
name: $name
version: 1.0
repository-url: http://$address:8083/hello.tar.gz
repository-type: dir
machine: tiny
target: x86_64-linux-gnu
EOF
done
"$python" -m helpers.controller --address "$address" --port 8081 --timeout 400 "$folder/first" "$folder/second"
