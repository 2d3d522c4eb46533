# The part of the far side for --fetch. The value X comes first: "l" if links are fetched as links, "d" if all are followed.
NL='
'
# Prints a class and a name in one line: a newline becomes \n, a backslash \\.
entry() {
  case $2 in
    *\\* | *"$NL"*) printf '%s %s\n' "$1" "$(printf '%s\n' "$2" | sed 's/\\/\\\\/g;$!s/$/\\n/' | tr -d '\n')" ;;
    *) printf '%s %s\n' "$1" "$2" ;;
  esac
}
# The number of directories in which a name is. If links are followed, P1, P2 and so on are their paths without links.
depth=0
# Adds a directory to those, unless it is one of them: then a link leads back to it.
descend() {
  depth=$((depth + 1))
  [ "$X" = d ] || return 0
  # The slash keeps newlines at the end of the path.
  p=$(cd "$1" && pwd -P && echo /)
  j=1
  while [ "$j" -lt "$depth" ]; do
    eval "q=\$P$j"
    if [ "$p" = "$q" ]; then
      depth=$((depth - 1))
      entry r "$1"
      return 1
    fi
    j=$((j + 1))
  done
  eval "P$depth=\$p"
}
# Prints the class of a name, and of everything below a directory. With "f" a link is followed.
look() {
  if [ "$1" != f ] && [ -h "$2" ]; then
    entry l "$2"
  elif [ -f "$2" ]; then
    if [ -r "$2" ]; then entry f "$2"; else entry u "$2"; fi
  elif [ -d "$2" ]; then
    if [ -r "$2" ] && [ -x "$2" ]; then
      descend "$2" || return 0
      entry d "$2"
      below "$2"/* "$2"/.[!.]* "$2"/..?*
      depth=$((depth - 1))
    else
      entry u "$2"
    fi
  elif [ -e "$2" ]; then
    entry o "$2"
  elif [ -h "$2" ]; then
    entry l "$2"
  fi
}
case $X in d) B=f ;; *) B=- ;; esac
# A pattern without a match stays as it is, and names nothing.
below() { for i; do look "$B" "$i"; done; }
# Lists what one pattern names. A link that is named is followed, as by cat.
asked() {
  echo p
  case $X in l) g=- ;; *) g=f ;; esac
  for i; do
    if [ -e "$i" ] || { [ "$g" = - ] && [ -h "$i" ]; }; then look "$g" "$i"; else entry - "$i"; fi
  done
}
# Prints mode, size, number of names, inode and times of each file.
if stat -L -c '%A %s %h %d:%i %Y %y' . >/dev/null 2>&1; then
  about() { stat -L -c 'a %A %s %h %d:%i %Y %y' -- "$@"; }
else
  about() {
    for i; do
      ls -ldniL "$i" | sed -n '1s/^ *\([0-9]*\) *\(.\{10\}\)[^ ]* *\([0-9]*\) *[0-9]* *[0-9]* *\([0-9]*\) .*/a \2 \4 \3 \1/p'
    done
  }
fi
# Prints the content of links.
contents() {
  for i; do
    n=$(readlink "$i" && echo x)
    entry c "${n%??}"
  done
}
# Prints the checksums of files.
fetched() {
  sums "$@" 2>/dev/null | sed 's/^/s /'
  echo -
}
# Prints the checksum of the first bytes of a file, which may have grown.
part() { printf 's %s\n' "$(take "$1" <"$2" | sum)"; }
# A file that grows or shrinks while GNU tar reads it is status 1 and no damage to the archive. The others say nothing,
# or stop in the middle.
case $(tar --version 2>/dev/null) in
  # It also reads a backslash in a name as the start of a code. If it follows links, it sends a file that two names lead
  # to as a hard link.
  *GNU*) R=1 F='--no-unquote --hard-dereference' ;;
  # Without this it writes files with holes in a form of its own.
  *bsdtar*) R=0 F=--format=gnutar ;;
  *) R=0 F= ;;
esac
exec 8>&1
# Prints files as an archive.
pack() {
  # shellcheck disable=SC2086 # Without a format there is no word.
  m=$(tar $F -chf - "$@" 2>&1 >&8)
  [ $? -gt $R ] || return 0
  # The archive may end anywhere, so only the end of the connection is sure to be understood.
  printf 'E %s\n' "$(printf '%s\n' "${m:-tar failed}" | tr '\n' ' ')"
  trap - 0
  exit 1
}
# Prints that many bytes, whatever becomes of the file.
raw() { { cat "$2"; while printf '\0'; do :; done; } 2>/dev/null | take "$1"; }
