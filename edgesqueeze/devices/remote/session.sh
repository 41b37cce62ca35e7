# Runs on the device, as: sh -c SCRIPT sh PYTHON BYTES MACHINES SHA256 HELD OPTION... The bundle comes by
# standard input; the options are benchmark.py's.
#
# Everything is in one folder, which this shell removes however it ends. If the connection is lost, the bundle
# ends early, or what is printed reaches nobody: both end this shell.
#
# HELD is - or, of a copy that may go on later, how many bytes of the bundle are there already. Then the bundle
# arrives in a file in the user's cache folder, named after its SHA-256, which stays if it ends early.
LC_ALL=C
export LC_ALL
folder=
leave() {
    printf 'edgesqueeze: %s\n' "$1" >&2
    exit 90
}
trap 'cd /; [ -z "$folder" ] || rm -rf -- "$folder"' EXIT
trap 'exit 91' HUP INT TERM PIPE

python=$1 bytes=$2 machines=$3 sha256=$4 held=$5
shift 5
case $python in /*) ;; */*) python=$PWD/$python ;; esac
machine=$(uname -m)
case " $machines " in *" $machine "*) ;; *) leave "it is a machine of $machine, the bundle is for $machines" ;; esac
command -v "$python" >/dev/null 2>&1 || leave "it has no $python"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))' || leave "its $python is older than Python 3.9"
"$python" -c 'import numpy' 2>/dev/null || leave "its $python has no numpy: $python -m pip install numpy ai-edge-litert onnxruntime"
folder=$(mktemp -d) || leave "no temporary folder can be made there"
cd "$folder" || leave "no temporary folder can be made there"
kept=${XDG_CACHE_HOME:-$HOME/.cache}/edgesqueeze
part=$kept/$sha256.part
if [ "$held" = - ] || [ "$held" -eq 0 ]; then
    rm -f -- "$part"
fi
if [ "$held" = - ]; then
    part=$folder/bundle.zip
else
    (umask 077 && mkdir -p -- "$kept") || leave "the folder $kept cannot be made there"
fi
: >>"$part" || leave "the bundle of $bytes bytes cannot be written there"
[ "$held" = - ] || [ "$(wc -c <"$part")" -eq "$held" ] || leave "another copy of the bundle is under way there; run it again"
cat >>"$part" || {
    [ "$held" = - ] || leave "the bundle of $bytes bytes cannot be written there; what arrived is in $part"
    leave "the bundle of $bytes bytes cannot be written there"
}
[ "$(wc -c <"$part")" -eq "$bytes" ] || leave "the bundle arrived in part"
[ "$held" = - ] || mv -- "$part" bundle.zip || leave "the bundle of $bytes bytes cannot be written there"
rmdir -- "$kept" 2>/dev/null
[ "$("$python" -c 'import hashlib; print(hashlib.sha256(open("bundle.zip", "rb").read()).hexdigest())')" = "$sha256" ] ||
    leave "the bundle arrived with other bytes; run it again"
"$python" -m zipfile -e bundle.zip bundle || leave "the bundle cannot be unpacked there"
cd bundle || leave "the bundle cannot be unpacked there"
# ONNX Runtime leaves files of its own in both
export TMPDIR="$folder" XDG_CACHE_HOME="$folder/cache"
"$python" selftest.py || exit 92
echo "edgesqueeze: benchmark"
"$python" benchmark.py --json "$@" || exit 93
