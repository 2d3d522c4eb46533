# shellcheck shell=bash
# What setup, lab and fleet share: sourced, never run.

# Where Debian keeps what these scripts run, also for a caller whose PATH is a plain user's.
PATH=$PATH:/usr/sbin:/sbin

# Debian's files for the lab: extracted packages that may not be installed side by side. Below a directory that only root
# can write, because root runs what is in it.
LAB_CACHE=${LAB_CACHE:-/var/cache/mrsh-lab}

# Lines for a person go to standard error; standard output belongs to the command that runs in the lab.
note() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() {
  note "$*"
  exit 2
}

# A whole number from LO to HI, or the end.
number() { # number WHAT VALUE LO HI
  if [[ ! $2 =~ ^[0-9]{1,9}$ ]] || ((10#$2 < $3 || 10#$2 > $4)); then die "$1: '$2' is not a number from $3 to $4"; fi
}

# Runs SCRIPT again, as `SCRIPT --inside ARG…`, as process 1 of its own mount, network, host-name, IPC and process
# namespaces. All that it makes there ends with it, even by SIGKILL: the shell between here and there takes the signals
# that a caller sends, and when it is gone the kernel ends process 1, and with that every process of the namespace.
# (`unshare --fork --kill-child` would do, but for SIGTERM, which unshare blocks while it waits.)
enter_private_namespaces() { # enter_private_namespaces SCRIPT ARG…
  # shellcheck disable=SC2016 # the inner shell's own arguments
  exec unshare --mount --net --uts --ipc --pid --propagation private -- \
    bash -c 'setpriv --pdeathsig KILL -- bash "$1" --inside "${@:2}"; exit "$?"' "${0##*/}" "$@"
}

# First steps in the new namespaces: their own /proc, and a /run of their own for namespaces' names and for scratch files.
private_mounts() {
  mount -t proc proc /proc
  mount -t tmpfs -o mode=755 tmpfs /run
  mkdir /run/lab /run/netns
  export LAB_DIR=/run/lab
}

# A sysctl of this network namespace. Written through the file, for a process more per setting adds up over a farm.
# Returns false where the kernel doesn't have the setting.
set_sysctl() { # set_sysctl net.ipv4.NAME VALUE
  { echo "$2" >"/proc/sys/${1//.//}"; } 2>/dev/null
}
