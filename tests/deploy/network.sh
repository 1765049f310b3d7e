#!/bin/sh
# SPDX-License-Identifier: MIT
# network.sh FOLDER ROOT HOST...: machines on a network of their own, as namespaces of Linux. Called by machines.py, in
# namespaces for mounts, processes and the network; all of it is gone with this process.
# For each HOST there is FOLDER/HOST with etc (to be /etc/rabbitmq there), lib and log; ROOT is / or another system that
# has RabbitMQ. Machine number N has 10.98.0.N, and whoever is outside of them 10.98.0.254.
set -eu
folder=$1
root=$2
shift 2

# One more that the others cannot tell from a machine. Here, $1 is its name.
machine() {
    while ! ip link set lan up 2>/dev/null; do sleep 0.02; done
    ip link set lo up
    ip addr add "$2/24" dev lan
    hostname "$1"
    for place in etc/rabbitmq var/lib/rabbitmq var/log/rabbitmq; do
        mount --bind "$folder/$1/$(echo "$place" | cut -d / -f 1,2 | sed 's|etc/rabbitmq|etc|; s|var/||')" "$root/$place"
    done
}

if [ "${MACHINE:-}" ]; then
    machine "$1" "$MACHINE"
    echo $$ >"$folder/$1/pid"
    exec sleep infinity
fi

ip link set lo up
ip link add bus type bridge
ip link set bus up
ip addr add 10.98.0.254/24 dev bus
mount --bind "$folder/hosts" "$root/etc/hosts"
if [ "$root" != / ]; then
    mount --bind "$folder/hosts" /etc/hosts
    mount -t proc proc "$root/proc"
fi
number=0
for host; do
    number=$((number + 1))
    MACHINE=10.98.0.$number unshare --net --mount --uts sh "$0" "$folder" "$root" "$host" &
    pid=$!
    while [ "$(readlink /proc/$pid/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
    ip link add "port$number" type veth peer name lan netns $pid
    ip link set "port$number" master bus up
done
wait
