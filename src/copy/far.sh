# The far side of --copy and --fetch, for every POSIX shell. mrsh sends this file, then copy.sh or fetch.sh, and then
# blocks of code that call their functions. The reply to a block ends with a line ".", a fatal error is a line that starts
# with "E".
#
# A value comes first: N, a random text of the run.
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
# Reads a number of bytes of the input. dd reads more at once than head does; the head of busybox reads single bytes.
if dd count=0 iflag=fullblock,count_bytes status=none </dev/null >/dev/null 2>&1; then
  take() { dd bs=1048576 count="$1" iflag=fullblock,count_bytes status=none; }
elif head -c 1 </dev/null >/dev/null 2>&1; then
  take() { head -c "$1"; }
else
  take() { dd ibs=1 obs=65536 count="$1" 2>/dev/null; }
fi
# Keeps the checksums of a list. A name may have a newline, which only some programs escape, so it may take two lines.
only() { sed -n 's/^\\\{0,1\}\([0-9a-f]\{64\}\) [ *].*/\1/p'; }
# Runs a function on large files. OpenSSL takes a while to start, but it has code for the instructions for SHA-256 of newer
# processors, which many a sha256sum has not.
L=
large() {
  if [ -z "$L" ]; then
    L=no
    # The checksum of nothing shows that it works.
    case $K$(openssl dgst -sha256 </dev/null) in
      sha*e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855) L=yes ;;
    esac
  fi
  if [ "$L" = yes ]; then L=now; fi
  "$@"
  if [ "$L" = now ]; then L=yes; fi
}
by_openssl() { for i; do openssl dgst -sha256 <"$i" | sed 's/.*= *//'; done; }
# Prints the checksum of each file, one a line.
if command -v sha256sum >/dev/null 2>&1; then
  K=sha256sum
  sums() { if [ "$L" = now ]; then by_openssl "$@"; else sha256sum -- "$@" | only; fi; }
  sum() { sha256sum | sed 's/ .*//'; }
elif command -v shasum >/dev/null 2>&1; then
  K=shasum
  sums() { if [ "$L" = now ]; then by_openssl "$@"; else shasum -a 256 -- "$@" | only; fi; }
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
# Runs the blocks. It is called at the end of the script.
serve() {
  printf '%s %s %s %s\n' "mrsh-$N" "$K" "$A" "$T"
  while read -r n; do
    eval "$(take "$n")"
    printf '.\n'
  done
}
