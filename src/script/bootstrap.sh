# The far side of --script, for every POSIX shell. mrsh sends the lines without comments, joined by spaces, as the first
# line of standard input. The script follows. The lines before it set:
# mrsh_n  number of bytes of the script
# mrsh_f  name of its file
# mrsh_t  directory for the file; empty for $TMPDIR or /tmp
# mrsh_k  random text of the run
# mrsh_i  interpreter; empty for a program that runs by itself
# and the positional parameters, which are the script's arguments. All names start with mrsh_, because an exported
# variable of the same name would change for the script.
mrsh_u=$(umask); umask 077;
mrsh_d=; mrsh_r=;
mrsh_l=$(printf '\n.'); mrsh_l=${mrsh_l%.};
mrsh_fail() { printf 'mrsh: %s\n' "$@" >&2; exit 126; };
# A signal to the group of processes must not stop the removal.
mrsh_clean() { trap '' HUP INT QUIT PIPE TERM; [ -z "$mrsh_d" ] || rm -rf "$mrsh_d"; };
# The script gets the signal itself, because it is in the same group. The shell runs this after the script has ended,
# and ends with the status of the script.
mrsh_end() { [ -z "$mrsh_r" ] || exit "$2"; exit "$1"; };
trap mrsh_clean 0;
trap 'mrsh_end 129 "$?"' HUP; trap 'mrsh_end 130 "$?"' INT; trap 'mrsh_end 131 "$?"' QUIT;
trap 'mrsh_end 141 "$?"' PIPE; trap 'mrsh_end 143 "$?"' TERM;
[ -n "$mrsh_t" ] || mrsh_t=${TMPDIR:-/tmp};
case $mrsh_t in /*) ;; *) mrsh_t=./$mrsh_t ;; esac;
# In a subshell that ignores signals, so that the name of a new directory is always known.
mrsh_d=$(trap '' HUP INT QUIT PIPE TERM; mktemp -d "$mrsh_t/mrsh.XXXXXXXXXX" 2>/dev/null) || {
mrsh_d=;
# POSIX has no mktemp. mkdir fails for a name that exists.
mrsh_e=$(trap '' HUP INT QUIT PIPE TERM; mkdir "$mrsh_t/mrsh.$mrsh_k.$$" 2>&1) ||
mrsh_fail "cannot make a directory for the script in $mrsh_t: ${mrsh_e##*: }" 'help: --script-dir DIR names another one';
mrsh_d=$mrsh_t/mrsh.$mrsh_k.$$; };
mrsh_f=$mrsh_d/$mrsh_f;
mrsh_s=0;
# dd with bs reads count times, and never more than bs bytes at once. A read from a pipe may return less, so the rest
# is asked for again, and GNU dd warns of it before its error. No other program of POSIX stops at an exact byte: the
# head of busybox reads ahead.
while [ "$mrsh_s" -lt "$mrsh_n" ]; do
mrsh_b=$((mrsh_n-mrsh_s)); mrsh_c=1;
[ "$mrsh_b" -le 4096 ] || { mrsh_c=$((mrsh_b/4096)); mrsh_b=4096; };
mrsh_e=$(dd bs="$mrsh_b" count="$mrsh_c" 2>&1 >>"$mrsh_f") || {
case $mrsh_e in *fullblock"$mrsh_l"*) mrsh_e=${mrsh_e#*"$mrsh_l"} ;; esac;
mrsh_e=${mrsh_e%%"$mrsh_l"*}; mrsh_e=${mrsh_e##*: };
mrsh_fail "cannot write the script to $mrsh_f: ${mrsh_e:-dd has failed}" 'help: --script-dir DIR names another directory'; };
# A separate statement: a signal that ends wc leaves nothing, which is a fatal error of dash in an expression.
mrsh_e=$(wc -c <"$mrsh_f");
mrsh_e=$((${mrsh_e:-0}));
[ "$mrsh_e" -gt "$mrsh_s" ] || mrsh_fail 'cannot receive the script: standard input has ended';
mrsh_s=$mrsh_e;
done;
chmod 700 "$mrsh_f";
umask "$mrsh_u";
[ -z "$mrsh_i" ] || [ -x "$mrsh_i" ] || { mrsh_s=$?; printf 'mrsh: cannot run the script: its interpreter %s does not exist or is not executable\n' "$mrsh_i" >&2; exit 127; };
[ -n "$mrsh_i" ] || [ -x "$mrsh_f" ] || mrsh_fail "cannot run the program in $mrsh_t: Permission denied" 'help: --script-dir DIR names a directory without the mount option noexec';
