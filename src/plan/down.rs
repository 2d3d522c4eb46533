//! The part of the plan about hosts that are down (`--skip-down`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::CautionArgs;
use crate::error::Error;
use crate::output::LeftOutTarget;
use crate::targets::{DownHosts, DownSource, HostState, Selection, Warnings, fold, hosts_in_words};

/// Leaves out the targets that are down. A warning names them, and counts those that the source does not know.
///
/// # Errors
/// The source gives no answer.
pub(super) fn leave_out(
    args: &CautionArgs,
    targets: Selection,
    warnings: &Warnings,
) -> Result<(Selection, Vec<LeftOutTarget>), Error> {
    let source = match &args.down_command {
        Some(line) => DownSource::Command(line),
        None => DownSource::Slurm,
    };
    let (targets, left_out, unknown) = without_down(targets, &source.ask()?);
    // If no target is left, an error names the hosts. A warning would name them a second time.
    if !left_out.is_empty() && !targets.is_empty() {
        warnings.add(format!(
            "{} left out by --skip-down: {}",
            hosts_in_words(left_out.len()),
            by_state(&left_out)
        ));
    }
    if unknown > 0 {
        let (are, known) = (
            if unknown == 1 { "is" } else { "are" },
            hosts_in_words(unknown),
        );
        warnings.add(format!(
            "{known} {are} unknown to sinfo and stay in the run"
        ));
    }
    Ok((targets, left_out))
}

/// Returns the targets that stay, those that are down, and the number of unknown ones.
fn without_down(targets: Selection, down: &DownHosts) -> (Selection, Vec<LeftOutTarget>, usize) {
    let mut left_out = Vec::new();
    let mut unknown = 0;
    let kept = targets.retain(|target| match down.state(target) {
        HostState::Usable => true,
        HostState::Unknown => {
            unknown += 1;
            true
        }
        HostState::Down(state) => {
            let label = Arc::clone(&target.label);
            left_out.push(LeftOutTarget { label, state });
            false
        }
    });
    (kept, left_out, unknown)
}

/// Names the targets, folded for each state.
pub(super) fn by_state(left_out: &[LeftOutTarget]) -> String {
    let mut states: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for target in left_out {
        states.entry(target.state).or_default().push(&target.label);
    }
    let states = states.into_iter();
    let parts: Vec<String> = states
        .map(|(state, labels)| format!("{} {state}", fold(labels)))
        .collect();
    parts.join(", ")
}
