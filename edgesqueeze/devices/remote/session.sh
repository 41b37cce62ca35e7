# Runs on the device, as: sh -c SCRIPT sh PYTHON BYTES MACHINE. The bundle comes by standard input.
#
# Everything is in one folder, which this shell removes however it ends. If the connection is lost, the bundle
# ends early, or what is printed reaches nobody: both end this shell.
LC_ALL=C
export LC_ALL
folder=
leave() {
    printf 'edgesqueeze: %s\n' "$1" >&2
    exit 90
}
trap 'cd /; [ -z "$folder" ] || rm -rf -- "$folder"' EXIT
trap 'exit 91' HUP INT TERM PIPE

python=$1
case $python in /*) ;; */*) python=$PWD/$python ;; esac
machine=$(uname -m)
[ "$machine" = "$3" ] || leave "it is a machine of $machine, the bundle is for $3"
command -v "$python" >/dev/null 2>&1 || leave "it has no $python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || leave "its $python is older than Python 3.9"
"$python" -c 'import numpy' 2>/dev/null || leave "its $python has no numpy: $python -m pip install numpy ai-edge-litert onnxruntime"
folder=$(mktemp -d) || leave "no temporary folder can be made there"
cd "$folder" || leave "no temporary folder can be made there"
cat >bundle.zip || leave "the bundle of $2 bytes cannot be written there"
[ "$(wc -c <bundle.zip)" -eq "$2" ] || leave "the bundle arrived in part"
"$python" -m zipfile -e bundle.zip bundle || leave "the bundle cannot be unpacked there"
cd bundle || leave "the bundle cannot be unpacked there"
"$python" selftest.py || exit 92
echo "edgesqueeze: benchmark"
"$python" benchmark.py --json || exit 93
