# shellcheck shell=bash
# What the cases share: sourced, never run.
#
# A case is a script that runs the program under test, $MRSH, in a farm of hosts. Started outside a farm it builds the one
# that it needs and runs itself in it; its own arguments are options for that farm, so `CASE -T` is the case with TCP
# timestamps off. It says what it checks, and exits 0 if all of it holds, 1 if not, 2 if it could not run.
set -euo pipefail
lab=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/..

MRSH=$(readlink -e "${MRSH-}") || {
  echo "${0##*/}: MRSH is not the path of the program under test" >&2
  exit 2
}
export MRSH

# Runs this case in a farm, unless it is in one already.
in_farm() { # in_farm lab|fleet OPTION… ARGUMENT-OF-THE-CASE…
  [[ -n ${LAB_DIR-} ]] || exec "$lab/$1" "${@:2}" -- "$0"
}

failures=0
ok() { echo "ok      $*"; }
failed() {
  echo "FAILED  $*"
  failures=$((failures + 1))
}
# The last line of every case.
verdict() {
  ((failures == 0)) || {
    echo "${0##*/}: $failures checks failed"
    exit 1
  }
  echo "${0##*/}: all checks hold"
}

# A few lines of what was found instead, indented under the check that failed.
excerpt() { # excerpt WHAT FILE
  local text
  text=$(tr -d '\0' <"$2")
  [[ $text ]] || return 0
  echo "        $1, $(wc -l <<<"$text") lines:"
  head -n 8 <<<"$text" | cut -c 1-200 | sed 's/^/          /'
}

equal() { # equal WHAT FOUND WANTED
  if [[ $2 == "$3" ]]; then ok "$1"; else failed "$1: found '$2', wanted '$3'"; fi
}

same_file() { # same_file WHAT FOUND WANTED: byte for byte
  if cmp -s "$2" "$3"; then ok "$1"; else
    failed "$1: not byte for byte the same"
    excerpt "only in what was found (<) or in what was wanted (>)" <(diff -a "$2" "$3")
  fi
}

# Before what is started with & and sent signals: a script starts such commands with INT ignored, nohup(1) with HUP, and what
# is ignored at the start stays so.
# shellcheck disable=SC2034 # for the cases
from_a_terminal=(env '--default-signal=HUP,INT')

# Runs the program with a bound on its time. Leaves $status (124: it had to be stopped), $out and $err.
out=${LAB_DIR-}/out err=${LAB_DIR-}/err status=
[[ -z ${LAB_DIR-} ]] || touch "$out" "$err"
mrsh() { # mrsh ARGUMENT…
  status=0
  timeout -k 5 "${limit:-120}" "$MRSH" "$@" >"$out" 2>"$err" </dev/null || status=$?
}

# That the last run ended with this status, and printed exactly this for every name of FILE, in any order. Shows what the
# program said if not.
every_host_said() { # every_host_said WHAT FILE-OF-NAMES OUTPUT-PATTERN WANTED-STATUS
  local before=$failures
  # In shell and awk no pattern per line: twenty thousand lines are looked at in one go each.
  sed -n "s/^\([^ ]*\): $3\$/\1/p" "$out" | sort >"$out.names"
  sort "$2" >"$out.wanted"
  if ! cmp -s "$out.names" "$out.wanted"; then
    failed "$1: not every host said it once: $(comm -13 "$out.names" "$out.wanted" | wc -l) did not"
    excerpt "missing" <(comm -13 "$out.names" "$out.wanted")
    excerpt "more than wanted" <(comm -23 "$out.names" "$out.wanted")
  fi
  (($(wc -l <"$out") == $(wc -l <"$2"))) || failed "$1: $(wc -l <"$out") lines, wanted $(wc -l <"$2")"
  [[ $status == "$4" ]] || failed "$1: status $status, wanted $4"
  if ((failures == before)); then ok "$1"; else excerpt "standard error" "$err"; fi
}

# That the last run, which was --json, kept the rules: every target has one end, the counts add up, and the exit status agrees.
# With a file of expected fates, that every target met its own.
keeps_the_rules() { # keeps_the_rules WHAT [EXPECTED-FILE]
  local said
  if said=$("$lab/check-json" "$out" "$status" "${@:2}" 2>&1); then ok "$1: $(cut -c 1-200 <<<"$said")"; else
    failed "$1"
    printf '        %s\n' "${said//$'\n'/$'\n'        }"
    excerpt "standard error" "$err"
  fi
}

# That no connection is left on the client, in any state that could keep a port: all were closed by the other side first.
nothing_left() { # nothing_left WHAT
  local deadline=$((SECONDS + 5))
  # The last acknowledgements may be on their way when the program exits; TIME_WAIT would stay for a minute.
  while [[ $(ss -Htan) ]] && ((SECONDS < deadline)); do sleep 0.05; done
  if [[ $(ss -Htan) ]]; then
    failed "$1"
    excerpt "connections of the client" <(ss -Htan)
  else
    ok "$1"
  fi
}
