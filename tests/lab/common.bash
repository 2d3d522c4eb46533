# shellcheck shell=bash
# Code for setup, lab and fleet. It is sourced, never run.

# Debian's directories for programs of root, which the PATH of an ordinary user does not have.
PATH=$PATH:/usr/sbin:/sbin

# Extracted Debian packages for the lab, which cannot be installed together. Only root can write to the directory,
# because root runs the programs in it.
LAB_CACHE=${LAB_CACHE:-/var/cache/mrsh-lab}

# Messages go to standard error. Standard output is for the command that runs in the lab.
note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  note "$*"
  exit 2
}

# Checks for a whole number from LO to HI. Exits if it is not one.
number() { # number WHAT VALUE LO HI
  if [[ ! $2 =~ ^[0-9]{1,9}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then die "$1: '$2' is not a number from $3 to $4"; fi
}

# Runs SCRIPT again, as `SCRIPT --inside ARG…`, as process 1 of its own mount, network, host-name, IPC and process
# namespaces. Everything in them ends with the script, also after SIGKILL: the shell outside gets the signals of the
# caller. When it has ended, the kernel kills process 1, and so all processes of the namespace. (`unshare --fork
# --kill-child` does the same, but unshare blocks SIGTERM while it waits.)
enter_private_namespaces() { # enter_private_namespaces SCRIPT ARG…
  # shellcheck disable=SC2016 # the inner shell's own arguments
  exec unshare --mount --net --uts --ipc --pid --propagation private -- \
    bash -c 'setpriv --pdeathsig KILL -- bash "$1" --inside "${@:2}"; exit "$?"' "${0##*/}" "$@"
}

# First steps in the new namespaces: mounts a new /proc, and a new /run for the names of namespaces and for scratch
# files.
private_mounts() {
  mount -t proc proc /proc
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/lab /run/netns
  export LAB_DIR=/run/lab
}

# Sets a sysctl of this network namespace. Writes to the file, because a process for each setting takes long in a large
# farm. Returns false if the kernel does not have the setting.
set_sysctl() { # set_sysctl net.ipv4.NAME VALUE
  { echo "$2" >"/proc/sys/${1//.//}"; } 2>/dev/null
}
