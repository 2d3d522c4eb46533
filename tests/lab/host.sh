#!/bin/sh
# One host of the lab. `lab` runs it as process 1 of the host's own network, mount, host-name and process namespaces. It
# sets up the host and replaces itself with inetd. It is an sh script, because forty of them start at once, and dash
# starts fastest.
#
# usage: host.sh NAME STATE-DIRECTORY IP-BATCH-FILE
set -eu
name=$1 state=$2 addresses=$3

# The process number in the lab's namespace, for `on`. It is read before the host gets its own /proc.
read -r pid _ </proc/self/stat

mount -t proc proc /proc
echo "$name" >/proc/sys/kernel/hostname
# Each host has its own home directories and its own /tmp, so that commands on other hosts do not see its files.
mount --bind "$state/root" /root
mount --bind "$state/home" /run/lab/home
mount -t tmpfs -o mode=1777 tmpfs /tmp
ip -batch "$addresses"
if [ "${LAB_TIMESTAMPS-}" = off ]; then
  echo 0 >/proc/sys/net/ipv4/tcp_timestamps
fi
# The daemon sets the environment of a command, so inetd starts with an empty one. The default limits of openbsd-inetd
# would break tests: a queue of 128 connections, and 256 starts of a service in a minute, after which it closes the port
# for ten minutes (a limit of 0 does not mean "none").
echo "$pid" >"$state/pid"
cd /
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$LAB_CACHE/openbsd-inetd/usr/sbin/inetd" -i -q 4096 -R 1000000 "$state/inetd.conf"
