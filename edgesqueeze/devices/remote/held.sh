# Runs on the device, as: sh -c SCRIPT sh PYTHON SHA256. Says how much of a bundle a copy that was cut has left
# there, and the SHA-256 of that: two words, the second - where there is nothing.
part=${XDG_CACHE_HOME:-$HOME/.cache}/edgesqueeze/$2.part
[ -f "$part" ] || {
    echo "0 -"
    exit 0
}
exec "$1" -c 'import hashlib, sys; found = open(sys.argv[1], "rb").read(); print(len(found), hashlib.sha256(found).hexdigest())' "$part"
