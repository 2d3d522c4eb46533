# The far side of --copy, for every POSIX shell. `src/copy/host.rs` sends it, and then blocks of code that call these
# functions. Each block ends with a line ".", a fatal error with a line that starts with "E".
#
# Values that come first: N, a random text of the run; D, the directory.
O=$(pwd)
U=$(umask)
Z=${LC_ALL-}
# What the shell itself says about this script goes nowhere; messages of programs are caught where they run.
exec 9>&2 2>/dev/null
umask 077
LC_ALL=C
export LC_ALL
S=
clean() {
  if [ -n "$S" ]; then cd / && rm -rf "$S" || printf 'L %s\n' "$S"; fi
  S=
}
trap clean 0
trap 'exit 1' 1 2 13 15
# Ends the script with an error. The rest of the input is read, because unread input would reset the connection.
die() {
  m=$(printf '%s\n' "$1" | tr '\n' ' ')
  trap - 0
  clean
  printf 'E %s\n' "$m"
  cat >/dev/null
  exit 1
}
# Runs a command and ends the script with its message if it fails.
do_() { m=$("$@" 2>&1) || die "${m:-$1 failed}"; }
# Reads a number of bytes of the input.
if head -c 1 </dev/null >/dev/null 2>&1; then
  take() { head -c "$1"; }
else
  take() { dd ibs=1 obs=65536 count="$1" 2>/dev/null; }
fi
# Keeps the checksums of a list. A name may have a newline, which only some programs escape, so it may take two lines.
only() { sed -n 's/^\\\{0,1\}\([0-9a-f]\{64\}\) [ *].*/\1/p'; }
# Prints the checksum of each file, one a line.
if command -v sha256sum >/dev/null 2>&1; then
  K=sha256sum
  sums() { sha256sum -- "$@" | only; }
  sum() { sha256sum | sed 's/ .*//'; }
elif command -v shasum >/dev/null 2>&1; then
  K=shasum
  sums() { shasum -a 256 -- "$@" | only; }
  sum() { shasum -a 256 | sed 's/ .*//'; }
elif command -v openssl >/dev/null 2>&1; then
  K=openssl
  sum() { openssl dgst -sha256 | sed 's/.*= *//'; }
  sums() { for i; do sum <"$i"; done; }
else
  K=cksum
  sum() { cksum | sed 's/^\([0-9]* [0-9]*\).*/\1/'; }
  sums() { for i; do sum <"$i"; done; }
fi
# Prints the mode of each file, and its time if this host can tell it.
if stat -c '%A %Y' . >/dev/null 2>&1; then
  A=stat
  attributes() { stat -c '%A %Y' -- "$@"; }
else
  A=ls
  attributes() { for i; do ls -ldn "$i" | sed -n '1s/^\(.\{10\}\).*/\1/p'; done; }
fi
T=tar
command -v tar >/dev/null 2>&1 || T=none
# Classifies names: f file, u file that cannot be read, l symbolic link, d directory, o other, - nothing.
classes() {
  c=
  for i; do
    if [ -h "$i" ]; then c=${c}l
    elif [ -f "$i" ]; then if [ -r "$i" ]; then c=${c}f; else c=${c}u; fi
    elif [ -d "$i" ]; then c=${c}d
    elif [ -e "$i" ]; then c=${c}o
    else c=$c-; fi
  done
}
links() { for i; do readlink "$i"; done; }
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
# Makes D if it is missing, and the directory for what arrives. The argument is the target's number: several targets may
# share a file system.
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
printf '%s %s %s %s\n' "mrsh-$N" "$K" "$A" "$T"
while read -r n; do
  eval "$(take "$n")"
  printf '.\n'
done
