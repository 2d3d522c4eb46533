//! Targets from Slurm, by the rules of pdsh's module. The programs `squeue` and `sinfo` answer instead of its library.

use std::env;
use std::io;
use std::process::{Command, Stdio};

use super::hosts::PdshHostList;
use super::messages::{Ended, PdshCaller};
use super::wcoll::Wcoll;
use crate::error_text::plain;

/// Values of the options, split at commas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SlurmOptions {
    /// `-j`.
    jobs: Vec<String>,
    /// `-P`.
    partitions: Vec<String>,
    /// `-C`.
    features: Vec<String>,
}

/// Letters of the options in the form of getopt(3).
pub(super) const LETTERS: &str = "j:P:C:";

/// Text of the options in the usage.
pub(super) const HELP: &str = "-j jobid,...      Run on nodes allocated to SLURM job(s) (\"all\" = all jobs)\n\
     -P partition,...  Run on nodes contained in SLURM partition\n\
     -C feature,...    Limit to SLURM nodes with any of the specified features\n";

impl SlurmOptions {
    /// Takes an option. Returns false if it is none of Slurm's.
    pub(super) fn take(&mut self, letter: char, value: &str) -> bool {
        let list = match letter {
            'j' => &mut self.jobs,
            'P' => &mut self.partitions,
            'C' => &mut self.features,
            _ => return false,
        };
        let words = value.split(',').filter(|word| !word.is_empty());
        list.extend(words.map(str::to_owned));
        true
    }

    /// Adds the nodes of partitions and jobs to the targets, and keeps those with a feature. Without other targets, the
    /// job of the environment names them.
    ///
    /// # Errors
    /// Slurm does not answer, or a number of a job is wrong.
    pub(super) fn fill(&self, wcoll: &mut Wcoll, caller: &PdshCaller) -> Result<(), Ended> {
        if !self.partitions.is_empty() {
            let nodes = self.nodes_of_partitions(caller)?;
            wcoll.hosts.get_or_insert_default().append(nodes);
        }
        if !self.jobs.is_empty() {
            let nodes = nodes_of_jobs(&self.jobs, caller)?;
            wcoll.hosts.get_or_insert_default().append(nodes);
        }
        if wcoll.hosts.is_none()
            && let Ok(job) = env::var("SLURM_JOBID")
            // The variable may be set on a machine without programs of Slurm, which is no error.
            && answers("squeue")
        {
            let nodes = nodes_of_jobs(&[job], caller)?;
            // After a job without nodes, `WCOLL` can still name the targets.
            wcoll.hosts = Some(nodes).filter(|nodes| !nodes.is_empty());
        }
        if let (Some(hosts), false) = (&mut wcoll.hosts, self.features.is_empty()) {
            *hosts = hosts.common(&self.nodes_with_features(caller)?);
        }
        Ok(())
    }

    fn nodes_of_partitions(&self, caller: &PdshCaller) -> Result<PdshHostList, Ended> {
        // With `-a`, as pdsh's module loads hidden partitions, too (`SHOW_ALL`).
        let text = ask("sinfo", &["-h", "-a", "-o", "%R %N"])?;
        let mut nodes = PdshHostList::default();
        for partition in &self.partitions {
            let of_partition = text.lines().filter_map(|line| {
                let (name, nodes) = line.split_once(' ')?;
                (name == partition).then_some(nodes)
            });
            let mut is_known = false;
            for list in of_partition {
                is_known = true;
                nodes.push(list).map_err(|text| caller.ended(text))?;
            }
            if !is_known {
                caller.say(&format!("Warning - partition {partition} not found"));
            }
        }
        nodes.sort_distinct();
        Ok(nodes)
    }

    fn nodes_with_features(&self, caller: &PdshCaller) -> Result<PdshHostList, Ended> {
        // With `%b`, as pdsh's module prefers the active features to the configured ones.
        let text = ask("sinfo", &["-h", "-a", "-N", "-o", "%N %b"])?;
        let mut nodes = PdshHostList::default();
        for line in text.lines() {
            let Some((node, features)) = line.split_once(' ') else {
                continue;
            };
            let has = |wanted: &String| features.split(',').any(|feature| feature == wanted);
            if self.features.iter().any(has) {
                nodes.push(node).map_err(|text| caller.ended(text))?;
            }
        }
        Ok(nodes)
    }
}

/// Returns the nodes of jobs, sorted; `all` stands for all jobs that run.
fn nodes_of_jobs(jobs: &[String], caller: &PdshCaller) -> Result<PdshHostList, Ended> {
    let is_number = |job: &str| job.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(wrong) = jobs.iter().find(|job| *job != "all" && !is_number(job)) {
        return Err(caller.ended(format!("invalid setting \"{wrong}\" for -j or SLURM_JOBID")));
    }
    // A job may be asked for by number in any state, but squeue lists only active jobs by default.
    let text = ask("squeue", &["-h", "-a", "-t", "all", "-o", "%A %T %N"])?;
    let mut nodes = PdshHostList::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let (Some(job), Some(state), Some(list)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let is_asked = |wanted: &String| match wanted.as_str() {
            "all" => state == "RUNNING",
            number => number == job,
        };
        if jobs.iter().any(is_asked) {
            nodes.push(list).map_err(|text| caller.ended(text))?;
        }
    }
    nodes.sort_distinct();
    Ok(nodes)
}

/// True if a program can be started.
fn answers(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null());
    command.output().is_ok()
}

/// Returns the standard output of a program of Slurm.
fn ask(program: &str, arguments: &[&str]) -> Result<String, Ended> {
    let failed = |cause: String| {
        Ended::Message(format!(
            "Unable to contact slurm controller: {program}: {cause}"
        ))
    };
    let mut command = Command::new(program);
    // Standard input may hold the lines of the prompt, which a child must not read.
    command.args(arguments).stdin(Stdio::null());
    let output = command
        .output()
        .map_err(|error: io::Error| failed(plain(&error)))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(failed(text.trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
