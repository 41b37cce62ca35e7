#!/usr/bin/env bash
# Makes the environments of the peers under build/peers, apart from edgesqueeze's own.
# Usage: bench/peers/make_environments.sh [int8] [nncodec] [counters]      the first two, if none is named
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ $# -gt 0 ] || set -- int8 nncodec
for name in "$@"; do
  folder=$here/../../build/peers/$name
  python3 -m venv "$folder"
  "$folder/bin/python" -m pip install --quiet -r "$here/requirements-$name.txt"
done
