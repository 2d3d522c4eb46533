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
  for i in "$W/.mrsh-$N-$1" "$W/.mrsh-$N-$1"-*; do
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
# Unpacks that many bytes of the input.
unpack() {
  m=$({ take "$1" | (cd "$S" && tar xf -); } 2>&1) && return
  # GNU tar does not say why it could not write.
  e=$({ dd if=/dev/zero bs=4096 count=16 >"$S/.full"; } 2>&1 | sed -n 's/.*: //p' | sed -n 1p)
  die "$W: ${e:-${m:-tar failed}}"
}
# Writes that many bytes of the input to a file, for hosts without tar.
receive() {
  m=$({ take "$1" >"$S/$2"; } 2>&1) || die "${m:-cannot write $2}"
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
# Runs the command in the place of this script, as if there had been no copy.
run() {
  clean
  trap - 0 1 2 13 15
  cd "$O" || exit 1
  umask "$U"
  if [ -n "$Z" ]; then LC_ALL=$Z; else unset LC_ALL; fi
  echo K
  exec 2>&9 9>&-
  exec "${SHELL:-/bin/sh}" -c "$1" </dev/null
}
