#!/bin/sh
# One host of the lab: run by `lab` as process 1 of the host's own network, mount, host-name and process namespaces; sets
# the host up and becomes its inetd. A plain sh script, for forty of them start at once and dash starts fastest.
#
# usage: host.sh NAME STATE-DIRECTORY IP-BATCH-FILE
set -eu
name=$1 state=$2 addresses=$3

# Our number as the lab sees it, for `on`; the last look at the lab's /proc.
read -r pid _ </proc/self/stat

mount -t proc proc /proc
echo "$name" >/proc/sys/kernel/hostname
# A host of its own: what a command leaves in a home directory or in /tmp is nobody else's.
mount --bind "$state/root" /root
mount --bind "$state/home" /run/lab/home
mount -t tmpfs -o mode=1777 tmpfs /tmp
ip -batch "$addresses"
if [ "${LAB_TIMESTAMPS-}" = off ]; then
  echo 0 >/proc/sys/net/ipv4/tcp_timestamps
fi
# The command's environment is the daemon's to make; none of the lab's may shine through. openbsd-inetd's own limits would
# end a test: a queue of 128 connections, and 256 starts of a service a minute, after which it closes the port for ten
# minutes (a limit of 0 is not "none").
echo "$pid" >"$state/pid"
cd /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$LAB_CACHE/openbsd-inetd/usr/sbin/inetd" -i -q 4096 -R 1000000 "$state/inetd.conf"
