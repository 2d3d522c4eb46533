# shellcheck shell=bash
# Code for all cases. It is sourced, never run.
#
# A case is a script that runs the program under test, $MRSH, in a farm: simulated hosts in network namespaces. Outside
# a farm, a case builds the farm that it needs and runs itself there. The arguments of a case are options for the farm:
# `CASE -T` is the case with TCP timestamps off. A case prints its checks. Its exit status is 0 if all checks hold, 1 if
# not, and 2 if it could not run.
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

# Prints the first lines of a file, indented, below the check that failed.
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
    excerpt "only in the found text (<) or in the wanted text (>)" <(diff -a "$2" "$3")
  fi
}

# Words before a command that is started with `&` and gets signals. A script starts such commands with INT ignored, and
# nohup(1) with HUP ignored. A program keeps signals ignored that were ignored at its start.
# shellcheck disable=SC2034 # for the cases
from_a_terminal=(env '--default-signal=HUP,INT')

# Runs the program with a time limit. Sets $status (124 if the limit was reached), and writes $out and $err.
out=${LAB_DIR-}/out err=${LAB_DIR-}/err status=
[[ -z ${LAB_DIR-} ]] || touch "$out" "$err"
mrsh() { # mrsh ARGUMENT…
  status=0
  timeout -k 5 "${limit:-120}" "$MRSH" "$@" >"$out" 2>"$err" </dev/null || status=$?
}

# Checks that the last run ended with this status, and printed exactly this line for every name of FILE, in any order.
# Prints standard error if not.
every_host_printed() { # every_host_printed WHAT FILE-OF-NAMES OUTPUT-PATTERN WANTED-STATUS
  local before=$failures
  # One program reads all lines. A shell loop over twenty thousand lines would be slow.
  sed -n "s/^\([^ ]*\): $3\$/\1/p" "$out" | sort >"$out.names"
  sort "$2" >"$out.wanted"
  if ! cmp -s "$out.names" "$out.wanted"; then
    failed "$1: not every host printed it once: $(comm -13 "$out.names" "$out.wanted" | wc -l) did not"
    excerpt "missing" <(comm -13 "$out.names" "$out.wanted")
    excerpt "more than wanted" <(comm -23 "$out.names" "$out.wanted")
  fi
  (($(wc -l <"$out") == $(wc -l <"$2"))) || failed "$1: $(wc -l <"$out") lines, wanted $(wc -l <"$2")"
  [[ $status == "$4" ]] || failed "$1: status $status, wanted $4"
  if ((failures == before)); then ok "$1"; else excerpt "standard error" "$err"; fi
}

# Checks the records of the last run, which was with --json: every target has one outcome, and the counts and the exit
# status are right. With a file of expected outcomes, checks that every target has its own.
keeps_the_rules() { # keeps_the_rules WHAT [EXPECTED-FILE]
  local said
  if said=$("$lab/check-json" "$out" "$status" "${@:2}" 2>&1); then ok "$1: $(cut -c 1-200 <<<"$said")"; else
    failed "$1"
    printf '        %s\n' "${said//$'\n'/$'\n'        }"
    excerpt "standard error" "$err"
  fi
}

# Checks that no connection is left on the client, in any state that keeps a port. So the other side has closed first.
nothing_left() { # nothing_left WHAT
  local deadline=$((SECONDS + 5))
  # The last acknowledgements may arrive after the program has exited. TIME_WAIT would stay for a minute.
  while [[ $(ss -Htan) ]] && ((SECONDS < deadline)); do sleep 0.05; done
  if [[ $(ss -Htan) ]]; then
    failed "$1"
    excerpt "connections of the client" <(ss -Htan)
  else
    ok "$1"
  fi
}
