//! The scenarios of tests/lab/cases: the built program against real daemons and the simulated fleet.
//!
//! Each case is a script that builds its own hosts in private namespaces and prints its checks. All cases need
//! root. Without root they print that they are skipped, except in CI, where that is a failure.

use crate::support::lab_case as case;

#[test]
fn lab_forty_hosts_run_after_run() {
    case("uptime40", &[]);
}

#[test]
fn lab_forty_hosts_without_timestamps() {
    case("uptime40", &["-T"]);
}

#[test]
fn lab_login_shells_and_awkward_commands() {
    case("shells", &[]);
}

#[test]
fn lab_copies_of_files() {
    case("copy", &[]);
}

#[test]
fn lab_scripts() {
    case("script", &[]);
}

#[test]
fn lab_another_user() {
    case("sudo_rsh", &[]);
}

#[test]
fn lab_standard_input() {
    case("stdin", &[]);
}

#[test]
fn lab_one_host_a_thousand_times() {
    case("onehost", &[]);
}

#[test]
fn lab_one_host_a_thousand_times_without_timestamps() {
    case("onehost", &["-T"]);
}

#[test]
fn lab_nothing_is_left_running_unsaid() {
    case("stopped", &[]);
}

#[test]
fn lab_a_network_that_ends() {
    case("vanished", &[]);
}

#[test]
fn lab_retries_rate_and_waves() {
    case("rules", &[]);
}

#[test]
fn lab_who_may_bind() {
    case("unprivileged", &[]);
}

#[test]
fn lab_ways_in() {
    case("ways-in", &[]);
}

#[test]
fn lab_called_multi_rsh() {
    case("multi-rsh", &[]);
}

#[test]
fn lab_faults_of_hosts_and_networks() {
    case("faults", &[]);
}

#[test]
fn lab_shortages() {
    case("shortages", &[]);
}

#[test]
fn lab_journals_of_runs_that_are_killed() {
    case("journal", &[]);
}

#[test]
fn lab_questions_before_a_run_and_pauses() {
    case("safeguards", &[]);
}

#[test]
fn lab_leftovers() {
    case("leftovers", &[]);
}

#[test]
fn fleet_twenty_thousand_hosts() {
    case("fleet20k", &[]);
}

#[test]
fn fleet_twenty_thousand_hosts_without_timestamps() {
    case("fleet20k", &["-T"]);
}

#[test]
fn fleet_call_backs_from_other_addresses() {
    case("callbacks", &[]);
}

#[test]
fn fleet_a_host_with_every_port_in_time_wait() {
    case("jammed", &[]);
}

#[test]
fn fleet_a_host_with_every_port_in_time_wait_without_timestamps() {
    case("jammed", &["-T"]);
}

#[test]
fn fleet_ten_thousand_hosts_with_faults() {
    case("faults10k", &[]);
}

#[test]
fn fleet_memory() {
    case("memory", &[]);
}

#[test]
fn ssh_logins_and_host_keys() {
    case("ssh_login", &[]);
}

#[test]
fn ssh_commands() {
    case("ssh_run", &[]);
}

#[test]
fn ssh_questions_pauses_and_runs_that_are_killed() {
    case("ssh_safeguards", &[]);
}

#[test]
fn ssh_scripts() {
    case("ssh_script", &[]);
}

#[test]
fn ssh_another_user() {
    case("sudo", &[]);
}

#[test]
fn ssh_copies_without_a_shell() {
    case("ssh_sftp", &[]);
}

#[test]
fn ssh_hosts_on_the_way() {
    case("ssh_jump", &[]);
}

#[test]
fn ssh_by_the_systems_program_and_what_is_left_behind() {
    case("ssh_openssh", &[]);
}

#[test]
fn ssh_connections_that_are_cut() {
    case("ssh_faults", &[]);
}

#[test]
fn ssh_new_keys_in_every_cipher() {
    case("ssh_rekey", &[]);
}
