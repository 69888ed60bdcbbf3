#!/bin/bash
# Starts systemd as process 1 of a container that is made of namespaces and an overlay
# over this machine's own files, and has it start the shipped unit and nothing else.
# systemd.sh DIRECTORY LISTEN UNIT: run by unshare, with namespaces of its own.
set -eu
dir=$1 listen=$2 unit=$3
mount --make-rprivate /
mkdir "$dir/cgroup" "$dir/files"
mount -t cgroup2 none "$dir/cgroup"
group=$(mktemp -d "$dir/cgroup/dialtone-test-XXXXXX")
echo $$ >"$group/cgroup.procs"
basename "$group" >"$dir/group"
umount "$dir/cgroup"
mount -t tmpfs none "$dir/files"
mkdir "$dir/files/new" "$dir/files/work" "$dir/files/root"
root=$dir/files/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/files/new,workdir=$dir/files/work" "$root"
install -m 755 "$listen" "$root/usr/local/bin/listen"
install -m 644 "$unit" "$root/etc/systemd/system/"
install -d -m 700 "$root/etc/dialtone"
(umask 077 && echo "$DIALTONE_KEY" >"$root/etc/dialtone/key")
echo 'dialtone:x:64999:64999::/nonexistent:/usr/sbin/nologin' >>"$root/etc/passwd"
echo 'dialtone:x:64999:' >>"$root/etc/group"
name=$(basename "$unit")
mkdir "$root/etc/systemd/system/$name.d"
# What the container lacks, and what a person reads.
cat >"$root/etc/systemd/system/$name.d/test.conf" <<END
[Unit]
DefaultDependencies=no
Wants=
After=
[Service]
$(sed -n 's/^ExecStart=.*/ExecStart=\n& --plan illiad-2006 --bind 127.0.0.1/p' "$unit")
StandardOutput=file:/run/said
StandardError=file:/run/said
END
printf '[Unit]\nDefaultDependencies=no\nWants=%s\n' "$name" >"$root/etc/systemd/system/dialtone-test.target"
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
for d in run tmp dev; do mount -t tmpfs none "$root/$d"; done
for d in null zero full random urandom tty; do
	touch "$root/dev/$d"
	mount --bind "/dev/$d" "$root/dev/$d"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs none "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
exec unshare --cgroup bash -c 'mount -t cgroup2 none "$0/sys/fs/cgroup" && exec chroot "$0" env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /usr/lib/systemd/systemd --unit=dialtone-test.target --log-target=console --show-status=no' "$root"
