//! The text at the end of `--help`.

pub(super) const AFTER_HELP: &str = "\
Exit status:
  0  the command succeeded on every host
  1  it failed on some host
  2  wrong usage or set-up; nothing was run
  3  some host could not be reached, timed out or was lost
  4  stopped early, by --deadline or after failures, or a report could not be
     written
A run that a signal ends dies of that signal. See -S for the remote commands' own statuses.

A TIME is in seconds, or has units: 500ms, 30s, 2m, 1h30m. A SIZE is in bytes, or has a unit: 500K, 16M, 1.5G.

--no-NAME switches off what a file or an alias switches on, as in --no-gather; --label FORMAT switches off --no-label.

Examples:
  mrsh -w 'node[1-40]' uptime
  mrsh -j 64 -f hosts -x node7 'df -h / | tail -n 1'
  mrsh -b -w 'node[1-40]' 'uname -r'
  pdsh -w 'node[1-40]' uname -r | mrsh --gather-stdin
  mrsh --demo -w 'node[1-9]' 'echo $MRSH_HOST'";
