# shellcheck shell=bash
# Checks of what protects runs, for cases over rsh and over ssh. It is sourced after cases.bash, never run.
#
# The case sets $hosts, the names of all hosts, and defines two functions: `forget` removes what the command left on the
# hosts, and `times HOST` prints how often it ran there. $command leaves one line for each time.
: "${hosts:?}" "${command:?}" "${out:?}" "${err:?}"

# all_times: prints how often the command ran on all hosts together.
all_times() {
  local host sum=0
  for host in $hosts; do sum=$((sum + $(times "$host"))); done
  echo "$sum"
}

# Runs the program on a terminal of its own, and types words with pauses between them. Sets $status and writes $out.
typed() { # typed "WORD…" ARGUMENT…
  local word
  status=0
  # The terminal stays open after the last word, because its end would be an answer too.
  { for word in $1; do sleep 2 && printf '%s' "$word"; done && sleep 3; } |
    timeout -k 5 60 script -qec "$(printf '%q ' "$MRSH" "${@:2}")" /dev/null >"$out" 2>&1 || status=$?
}

# Checks --confirm and --pause.
asks_first() { # asks_first WHAT ARGUMENT…
  local what=$1 count
  shift
  count=$(wc -w <<<"$hosts")
  forget
  typed $'n\n' "$@" --confirm "$command"
  equal "$what: without a yes nothing runs" "$status $(all_times) $(grep -c 'nothing was run' "$out")" "4 0 1"
  typed $'y\n' "$@" --confirm "$command"
  equal "$what: after a yes all hosts run" "$status $(all_times)" "0 $count"
  mrsh "$@" --confirm "$command"
  equal "$what: without a terminal nothing runs" "$status $(all_times)" "2 $count"
  forget
  typed 'y q' "$@" --batch 2 --pause "$command"
  equal "$what: q in the second pause ends the run" "$status $(all_times)" "4 4"
  forget
  "$MRSH" "$@" --batch 2,100% --pause "$command" >"$out" 2>"$err" </dev/null &
  local run=$!
  for ((i = 0; i < 100; i++)); do
    ! grep -q 'kill -USR2' "$err" || break
    sleep 0.1
  done
  equal "$what: the second wave waits" "$(all_times)" 2
  kill -USR2 "$run"
  status=0
  wait "$run" || status=$?
  equal "$what: SIGUSR2 goes on" "$status $(all_times)" "0 $count"
}

# Kills runs with --journal at random moments, and resumes them. After that every host has run the command exactly once,
# or is uncertain and has run it at most once.
survives_kills() { # survives_kills WHAT KILLS ARGUMENT…
  local what=$1 kills=$2 journal=$LAB_DIR/journal killed=0 uncertain=0 wrong=0 round try running host arguments
  shift 2
  # labels ROW: prints the labels of a row of --status, one on each line.
  labels() {
    local set
    set=$("$MRSH" --resume "$journal" --status 2>/dev/null | sed -n "s/^$1: [0-9]*: //p") || true
    [[ -z $set ]] || "$MRSH" --list "$set"
  }
  # A fast machine ends most runs before the kill.
  for ((round = 1; killed < kills && round <= 4 * kills; round++)); do
    rm -f "$journal"
    forget
    arguments=(--journal "$journal" -q -j 4 "$@" "$command; sleep 0.02")
    for ((try = 0; try < 5; try++)); do
      "$MRSH" "${arguments[@]}" >"$out" 2>"$err" </dev/null &
      running=$!
      if ((try < 4)); then
        sleep "0.$(printf '%03d' $((RANDOM % 400)))"
        kill -KILL "$running" 2>/dev/null || true
      fi
      status=0
      wait "$running" 2>/dev/null || status=$?
      ((status == 137)) || break
      killed=$((killed + 1))
      # Without a first line the journal can be begun again.
      if [[ -s $journal && $(wc -l <"$journal") -gt 0 ]]; then arguments=(--resume "$journal" -q); fi
    done
    # A daemon may start a command whose client is dead already.
    sleep 0.2
    [[ ! $(labels 'not started') && ! $(labels failed) ]] || {
      wrong=$((wrong + 1))
      excerpt "round $round, targets left" <("$MRSH" --resume "$journal" --status 2>&1)
      excerpt "standard error" "$err"
    }
    labels uncertain | sort >"$LAB_DIR/uncertain"
    uncertain=$((uncertain + $(wc -l <"$LAB_DIR/uncertain")))
    labels 'done' | sort >"$LAB_DIR/done"
    while read -r host; do
      [[ $(times "$host") == 1 ]] || {
        wrong=$((wrong + 1))
        echo "        round $round: $host is done and ran $(times "$host") times"
      }
    done <"$LAB_DIR/done"
    while read -r host; do
      (($(times "$host") <= 1)) || {
        wrong=$((wrong + 1))
        echo "        round $round: $host is uncertain and ran $(times "$host") times"
      }
    done <"$LAB_DIR/uncertain"
  done
  equal "$what: no host runs twice, or never without a word ($killed killed, $uncertain uncertain)" "$wrong" 0
  if ((killed >= kills)); then ok "$what: runs were killed"; else failed "$what: only $killed runs were killed"; fi
}
