# The part of the far side for --copy. Values come first: D, the directory; X and Y, the user and the group that --owner
# names, or nothing.
if [ "$A" = stat ] && [ -n "$X$Y" ]; then
  # "USER:" names the login group of the user, as for chown.
  if [ "$Y" = : ]; then Y=$(id -g "$X"); fi
  # The attributes say also if the owner is that of --owner, by its name or by its number.
  attributes() {
    stat -c '%A %Y:%u:%g:%U:%G' -- "$@" | while IFS=: read -r a u g v w; do
      case $X in '' | "$u" | "$v") case $Y in '' | "$g" | "$w") u='' ;; esac ;; esac
      printf '%s %s\n' "$a" "${u:-=}"
    done
  }
fi
# Reports the classes of names, or one checksum over everything about them if all are files, or all are links.
check() {
  classes "$@"
  case $c in
    *[!f]*) case $c in
      *[!l]*) printf 't %s\n' "$c" ;;
      *) printf '= %s\n' "$(links "$@" | sum)" ;;
    esac ;;
    *) printf '= %s\n' "$({ sums "$@"; attributes "$@"; } | sum)" ;;
  esac
}
# Reports each of these files: its checksum, and its attributes.
detail() {
  sums "$@" 2>/dev/null | sed 's/^/s /'
  attributes "$@" 2>/dev/null | sed 's/^/a /'
  echo -
}
# Sends each of these files: a line with its length, and then exactly that many bytes. A file that becomes shorter
# meanwhile is filled up with NUL bytes. The first argument is the maximum length.
show() {
  k=$1
  shift
  for i; do
    if [ -h "$i" ] || [ ! -f "$i" ]; then v=; else v=$(wc -c <"$i" | tr -d ' '); fi
    case $v in
      '' | *[!0-9]*) echo 'f gone' ;;
      0) echo 'f 0' ;;
      *)
        if [ "$v" -gt "$k" ]; then
          echo 'f long'
        else
          printf 'f %s\n' "$v"
          { cat <"$i"; while printf '\0'; do :; done; } | take "$v"
        fi
        ;;
    esac
  done
}
# With --swap: refuses a destination that is a link. This comes before D is entered.
swappable() {
  p=${D%"${D##*[!/]}"}
  [ ! -h "$p" ] || die "$p: is a symbolic link; --swap replaces directories only"
  # Where earlier attempts left something.
  P=$(dirname "$p")
}
# With --swap: reports the mode and the owner of the destination, the number of names in it, and the number of those on its
# own file system.
beside() {
  [ "$W" != new ] || return 0
  W=$(pwd -P)
  P=${W%/*}
  P=${P:-/}
  f=
  if [ -r /proc/self/mountinfo ]; then
    # The kernel writes some bytes of names in octal (proc(5)).
    e=$(printf '%s\n' "$W" | sed 's/\\/\\134/g; s/ /\\040/g; s/	/\\011/g')
    while read -r _ _ _ _ m _; do
      case $m in "$e" | "$e"/*) f=1 ;; esac
    done </proc/self/mountinfo
  fi
  [ -z "$f" ] || die "$D: is a mount point, or has one in it"
  v=$(ls -ldn . | { read -r i _ u g _; echo "$i $u:$g"; })
  echo "R $v $(find . | wc -l | tr -d ' ') $(find . -xdev | wc -l | tr -d ' ')"
}
# Enters the directory D. "P" makes missing parents, "C" makes the last directory only, "-" makes none.
enter() {
  W=new
  if [ -d "$D" ]; then
    cd "$D" 2>/dev/null || die "$D: cannot change to this directory"
    W=$(pwd) && printf 'D 1\n'
    return
  fi
  p=${D%"${D##*[!/]}"}
  if [ -e "$p" ] || [ -h "$p" ]; then die "$D: not a directory"; fi
  case $1 in
    P) ;;
    C)
      p=$(dirname "$D")
      [ -d "$p" ] || die "$p: no such directory; --parents makes it"
      ;;
    *) die "$D: no such directory; --parents makes it" ;;
  esac
  printf 'D 0\n'
}
# Removes what earlier attempts for this target have left. Their names begin with the target's number, since several
# targets may share a file system.
sweep() {
  for i in "${P:-$W}/.mrsh-$N-$1" "${P:-$W}/.mrsh-$N-$1"-*; do
    if [ -d "$i" ] && [ ! -h "$i" ] && [ -O "$i" ]; then rm -rf "$i"; fi
  done
}
# Makes D if it is missing, and the directory for what arrives. The argument is the end of its name.
stage() {
  if [ "$W" = new ]; then
    m=$(umask 022 && mkdir -p "$D" 2>&1) || die "$D: ${m##*: }"
    cd "$D" 2>/dev/null || die "$D: cannot change to this directory"
    W=$(pwd)
  fi
  # The name of this directory is different in every run, so only the cause is reported.
  m=$(mkdir "$W/.mrsh-$N-$1" 2>&1) || die "$W: ${m##*: }"
  S=$W/.mrsh-$N-$1
}
# With --swap: makes the directory for what arrives beside the destination. W becomes the destination.
stage_beside() {
  if [ "$W" = new ]; then
    p=${D%"${D##*[!/]}"}
    q=$(dirname "$p")
    m=$(umask 022 && mkdir -p "$q" 2>&1) || die "$q: ${m##*: }"
    cd "$q" 2>/dev/null || die "$q: cannot change to this directory"
    P=$(pwd -P)
    W=${P%/}/${p##*/}
  fi
  cd "$P" || die "$P: cannot change to this directory"
  m=$(mkdir "$P/.mrsh-$N-$1" 2>&1) || die "$P: ${m##*: }"
  S=$P/.mrsh-$N-$1
}
# Gives the staged directory the owner of the old one.
own_as() {
  v=$(ls -ldn "$S" | { read -r _ _ u g _; echo "$u:$g"; })
  if [ "$1" != "$v" ]; then m=$(chown "$1" "$S" 2>&1) || die "${m:-chown failed}"; fi
}
# Replaces the destination by the staged directory. Between the two renames there is none.
swap() {
  if [ -e "$W" ]; then
    B=$S.old
    m=$(mv -f "$W" "$B" 2>&1) || die "$D: ${m##*: }"
  fi
  # mv would move it into a directory that somebody has made meanwhile.
  if [ -e "$W" ] || [ -h "$W" ]; then die "$D: somebody else has made it"; fi
  m=$(mv -f "$S" "$W" 2>&1) || die "$D: ${m##*: }"
  S=
  if [ -n "$B" ]; then
    m=$(rm -rf "$B" 2>&1) || {
      chmod -R u+rwX "$B"
      m=$(rm -rf "$B" 2>&1) || die "the new directory is in place; cannot remove the old one: ${m##*: }"
    }
    B=
  fi
}
# Puts the old directory back if the new one is not in its place, and removes what is staged. B is the old directory, and P
# the directory in which both are.
B=
P=
clean() {
  if [ -n "$B" ]; then
    if [ ! -d "$B" ]; then
      :
    elif [ -e "$W" ] || [ -h "$W" ]; then
      printf 'L %s\n' "$B"
    else
      mv -f "$B" "$W" || printf 'L %s\n' "$B"
    fi
    B=
  fi
  if [ -n "$S" ]; then cd / && rm -rf "$S" || printf 'L %s\n' "$S"; fi
  S=
}
# Unpacks that many bytes of the input.
unpack() {
  m=$({ take "$1" | (cd "$S" && tar xf -); } 2>&1) && return
  # GNU tar does not say why it could not write.
  e=$({ dd if=/dev/zero bs=4096 count=16 >"$S/.full"; } 2>&1 | sed -n 's/.*: //p' | sed -n 1p)
  die "$W: ${e:-${m:-tar failed}}"
}
# Writes that many bytes of the input to a file, for hosts without tar and for large files.
receive() {
  m=$({ take "$1" >"$S/$2"; } 2>&1) && return
  m=${m##*: }
  die "$W: ${m:-cannot write $2}"
}
# Checks one checksum over these staged files.
verify() {
  k=$1
  shift
  v=$(cd "$S" && sums "$@" 2>&1 | sum)
  [ "$v" = "$k" ] || die "what arrived differs from what was sent"
}
# Runs a command in the staging directory.
in_() { m=$(cd "$S" && "$@" 2>&1) || die "${m:-$1 failed}"; }
# Moves staged names of a directory over those of the destination.
place() {
  p=$1
  shift
  m=$(cd "$S/$p" && mv -f "$@" "$W/$p" 2>&1) || die "${m:-mv failed}"
}
# Sets the time of files, in UTC.
stamp() {
  p=$1
  shift
  TZ=UTC0 touch -t "$p" "$@"
}
# Does the same to the nanosecond, if touch can. The first time has the form of -d, the second one that of -t.
stamp_exactly() {
  p=$1 q=$2
  shift 2
  TZ=UTC0 touch -d "$p" "$@" 2>/dev/null || stamp "$q" "$@"
}
# Runs the command in the place of this script, as if there had been no copy. Further arguments are variables: N=V
run() {
  clean
  trap - 0 1 2 13 15
  cd "$O" || exit 1
  umask "$U"
  if [ -n "$Z" ]; then LC_ALL=$Z; else unset LC_ALL; fi
  echo K
  exec 2>&9 9>&-
  c=$1
  shift
  if [ $# -gt 0 ]; then exec env "$@" "${SHELL:-/bin/sh}" -c "$c" </dev/null; fi
  exec "${SHELL:-/bin/sh}" -c "$c" </dev/null
}
