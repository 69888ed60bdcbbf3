#!/bin/bash
# Installs the package on an overlay over this machine's own files, has the two programs
# meet, removes it, and looks at what is left. installed.sh DIRECTORY DEB: run by unshare,
# with namespaces of its own.
set -eu
dir=$1 deb=$2
fail() { echo "installed.sh: $*" >&2; exit 1; }
mount --make-rprivate /
ip link set lo up
mkdir "$dir/files"
mount -t tmpfs none "$dir/files"
mkdir "$dir/files/new" "$dir/files/work" "$dir/files/root"
root=$dir/files/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/files/new,workdir=$dir/files/work" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs none "$root/run"
mount -t tmpfs none "$root/tmp"
chmod 1777 "$root/tmp"
cp "$deb" "$root/tmp/dialtone.deb"
within() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
for d in null zero urandom random; do [ -e "$root/dev/$d" ] || { mkdir -p "$root/dev"; touch "$root/dev/$d"; mount --bind "/dev/$d" "$root/dev/$d"; }; done

echo "--- lintian"
if command -v lintian >/dev/null; then lintian --fail-on error,warning "$deb"; else fail "lintian is not installed"; fi

echo "--- dpkg -i"
within getent passwd dialtone >/dev/null && fail "the user dialtone is here already"
within dpkg -i /tmp/dialtone.deb
within getcap /usr/bin/listen
within getent passwd dialtone
within systemd-analyze verify /usr/lib/systemd/system/dialtone-listen.service || fail "systemd-analyze verify"
within bash -c 'source /usr/share/bash-completion/completions/dial && COMP_WORDS=(dial me) COMP_CWORD=1 && _dial && [ "$COMPREPLY" = merge ]' || fail "bash completes nothing"
for f in zsh/vendor-completions/_dial fish/vendor_completions.d/listen.fish; do [ -s "$root/usr/share/$f" ] || fail "no $f"; done
within man --warnings -l /usr/share/man/man1/dial.1.gz >/dev/null

echo "--- listen as the unit's user, dial from another"
within dial version
key=tiling-walnut-quilt-mango-unlit-twelve
# As the unit's user: its rights are those that the file gives, no more.
DIALTONE_KEY=$key chroot "$root" setpriv --reuid dialtone --regid dialtone --clear-groups env DIALTONE_KEY=$key listen --bind 127.0.0.1 --for 2m --ready-file /tmp/ready >"$dir/said" 2>&1 &
listen=$!
for ((i = 0; i < 300; i++)); do [ -e "$root/tmp/ready" ] && break; kill -0 $listen 2>/dev/null || break; sleep 0.1; done
[ -e "$root/tmp/ready" ] || { cat "$dir/said" >&2; fail "listen does not get ready"; }
grep -q 'Listening for plan illiad on tcp 21, 25, 80,' "$dir/said" || { cat "$dir/said" >&2; fail "ports below 1024 are not bound"; }
code=0
chroot "$root" setpriv --reuid nobody --regid nogroup --clear-groups env DIALTONE_KEY=$key dial --bind 127.0.0.2 --only sql-client,platform --format json 127.0.0.1 >"$dir/report" 2>&1 || code=$?
[ $code = 0 ] || { cat "$dir/report" "$dir/said" >&2; fail "dial ends with $code"; }
grep -o '"verdict": "[a-z-]*"' "$dir/report" | sort | uniq -c
grep -q '"witness": "capture"' "$dir/report" || fail "listen does not capture SYN packets"
kill -INT $listen
wait $listen || fail "listen ends with $?"
rm -f "$root/tmp/ready"

echo "--- dpkg -r"
within dpkg -r dialtone
within getent passwd dialtone && fail "the user is left"
# What dpkg itself keeps, and what belongs to no package.
left=$(cd "$dir/files/new" && find . ! -type d ! -path './var/lib/dpkg/*' ! -path './var/cache/*' ! -path './var/log/*' ! -path './tmp/*' ! -path './run/*' ! -path './dev/*' |
	while read -r f; do cmp -s "$f" "/$f" || echo "$f"; done)
echo "left: ${left:-nothing}"
for f in $left; do case $f in
	./etc/passwd- | ./etc/group- | ./etc/shadow- | ./etc/gshadow- | ./etc/subuid- | ./etc/subgid- | ./etc/.pwd.lock) ;; # the system's own copies of before
	*) fail "$f is left" ;;
	esac done
