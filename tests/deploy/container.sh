#!/bin/sh
# SPDX-License-Identifier: MIT
# container.sh FOLDER TOOLS PYTHON COMMAND...: runs a command as a container engine would run our image: as process 1 and
# user 10001 without any rights, in a root file system that has only what the image would have, and cannot be written to.
# Called on one of the machines of network.sh, in new namespaces for mounts and processes.
# FOLDER has etc and secrets (what is mounted) and state (its volume); TOOLS is what the build put into /opt/tools;
# PYTHON is where the Python is that runs them.
set -eu
folder=$1
tools=$2
python=$3
shift 3
root=$folder/root

# As the machine sees it, for those who look inside; here it is 1.
read -r pid rest </proc/self/stat
echo "$pid" >"$folder/container.pid"
mkdir -p "$root"
mount -t tmpfs none "$root"
mkdir "$root/tmp"
mount -t tmpfs none "$root/tmp" # it may hold TOOLS too
chmod 1777 "$root/tmp"
for place in bin lib lib64 usr; do
    if [ -L "/$place" ]; then
        cp -P "/$place" "$root/$place"
    else
        mkdir "$root/$place"
        mount --bind -o ro "/$place" "$root/$place"
    fi
done
for place in "$tools" "$python"; do
    mkdir -p "$root$place"
    mount --bind -o ro "$place" "$root$place"
done
mkdir -p "$root/opt/tools" "$root/etc" "$root/proc" "$root/dev" "$root/run/secrets" \
    "$root/var/lib/fedmsg-migration-tools"
mount --bind -o ro "$tools" "$root/opt/tools"
cp -r /etc/hosts /etc/nsswitch.conf "$folder/etc/." "$root/etc/"
cp -p "$folder"/secrets/* "$root/run/secrets/"
mount --bind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind "$folder/state" "$root/var/lib/fedmsg-migration-tools"
mount -o remount,ro "$root"
cd /
set -- env -i PATH="/opt/tools/bin:$python/bin:/usr/bin:/bin" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    FEDMSG_MIGRATION_TOOLS_CONFIG=/etc/fedmsg-migration-tools/config.toml \
    FEDORA_MESSAGING_CONF=/etc/fedora-messaging/config.toml "$@"
# Who only plays root has no other user to become.
if grep -q '4294967295$' /proc/self/uid_map; then
    set -- setpriv --reuid 10001 --regid 10001 --clear-groups --inh-caps=-all --bounding-set=-all --no-new-privs "$@"
fi
exec chroot "$root" "$@"
