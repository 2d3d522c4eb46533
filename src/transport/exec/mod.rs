//! Local processes instead of connections: a command for each host (`-R exec`), and the system's `ssh` (`-R
//! openssh`).
//!
//! Both start a process for each host. They give access to other tools (kubectl, docker, srun) and to features that
//! libssh2 lacks (GSSAPI, security keys, `ProxyCommand`).

use super::wrap::script_command;
use super::{AttemptError, Budget, Input, Route, StderrMode, Transport, TransportError};
use crate::event::{Facts, Phase};
use crate::targets::{Placeholder, RunVariable, Target, TargetId, TargetVariables, Variable};

pub mod openssh;
mod process;
mod template;

pub use process::{DESCRIPTORS, LocalProcess};
pub use template::{Template, TemplateValues};

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::Instant;

/// Settings that all local commands of a run share.
#[derive(Debug)]
pub struct ExecOptions {
    /// Commands with placeholders.
    pub commands: ExecCommands,
    /// Words after those of the template, the same for all hosts.
    pub appended: Vec<OsString>,
    /// Value of `%u` for targets that name no user.
    pub user: String,
    /// Value of `%p` for targets that name no port, if there is one.
    pub port: Option<u16>,
    /// Values that the commands get of the whole run.
    pub run: RunValues,
    /// Further variables of each target, if there are any.
    pub variables: Option<TargetVariables>,
    /// Destination of standard error.
    pub stderr: StderrMode,
}

/// Values of a run for the environment of local commands.
#[derive(Debug, Default)]
pub struct RunValues {
    /// Identifier of the run.
    pub id: Arc<str>,
    /// Number of targets of the whole run.
    pub count: usize,
    /// Positions of the targets in the whole run; `None` if this is the whole run.
    pub numbers: Option<Arc<[u32]>>,
}

/// The command that is started for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCommand {
    /// Words with placeholders.
    pub template: Template,
    /// True if the words that follow reach a shell on the host as one line, as with `ssh`. False if they stay words.
    pub joins_words: bool,
}

/// The commands of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecCommands {
    /// One for all targets.
    Same(ExecCommand),
    /// Several, of which each target has one.
    Own {
        /// The commands.
        commands: Vec<ExecCommand>,
        /// Index into them for each target.
        of_target: Arc<[u32]>,
    },
}

impl ExecCommands {
    /// Returns the command of a target.
    #[must_use]
    pub fn of(&self, id: TargetId) -> &ExecCommand {
        match self {
            ExecCommands::Same(command) => command,
            ExecCommands::Own {
                commands,
                of_target,
            } => &commands[of_target[id.index()] as usize],
        }
    }

    /// True if a word of a command has this placeholder.
    #[must_use]
    pub fn have(&self, placeholder: Placeholder) -> bool {
        match self {
            ExecCommands::Same(command) => command.template.has(placeholder),
            ExecCommands::Own { commands, .. } => commands
                .iter()
                .any(|command| command.template.has(placeholder)),
        }
    }
}

/// The exec transport of a run.
#[derive(Debug)]
pub struct ExecTransport {
    options: ExecOptions,
    /// Standard input of the commands; `None` is an end of file.
    input: Option<Input>,
}

impl ExecTransport {
    /// Creates a transport that has started nothing yet.
    #[must_use]
    pub fn new(options: ExecOptions, input: Option<Input>) -> Self {
        ExecTransport { options, input }
    }

    /// Returns the variables of a target. The environment of a process costs nothing, so those of mrsh are always there.
    fn variables(&self, id: TargetId, values: TemplateValues<'_>) -> Vec<Variable> {
        let run = &self.options.run;
        let value = |variable| match variable {
            RunVariable::Host => values.host.to_owned(),
            RunVariable::Label => values.label.to_owned(),
            RunVariable::User => values.user.to_owned(),
            RunVariable::Rank => values.rank.to_string(),
            RunVariable::Count => run.count.to_string(),
            RunVariable::RunId => run.id.to_string(),
        };
        let of_run = RunVariable::ALL.into_iter();
        let of_run = of_run
            .filter_map(|variable| Variable::new(variable.name(), value(variable).into_bytes()));
        let own = self.options.variables.iter();
        let own = own.flat_map(|all| all[id.index()].iter().cloned());
        of_run.chain(own).collect()
    }
}

impl Transport for ExecTransport {
    type Session = LocalProcess;

    /// Looks up nothing: the command interprets the host's name.
    async fn route(&self, _: &Target, _: &mut Budget) -> Result<Route, TransportError> {
        Ok(Route::nowhere())
    }

    async fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        _: &mut Budget,
    ) -> Result<LocalProcess, AttemptError> {
        route.phase = Phase::Start;
        let numbers = self.options.run.numbers.as_ref();
        let values = TemplateValues {
            host: &target.host,
            label: &target.label,
            port: target.port.or(self.options.port),
            user: target.user.as_deref().unwrap_or(&self.options.user),
            rank: numbers.map_or(id.0, |numbers| numbers[id.index()]),
        };
        let command = self.options.commands.of(id);
        let variables = self.variables(id, values);
        // No shell reads the words, so a host's name cannot add a command.
        let mut words = command.template.fill(values);
        words.extend(self.options.appended.iter().cloned());
        let script = self.input.as_ref().and_then(Input::script);
        if let Some(script) = &script
            && command.joins_words
        {
            words.push(OsString::from_vec(script_command(script, None)));
        } else if let Some(script) = script {
            words.extend(["sh", "-c"].map(OsString::from));
            words.push(script.into());
        }
        if let Some(line) = self.input.as_ref().and_then(Input::protocol_command) {
            if !command.joins_words {
                words.extend(["sh", "-c"].map(OsString::from));
            }
            words.push(OsString::from_vec(line));
        }
        route.request.allow().await.map_err(AttemptError::Failed)?;
        let began = Instant::now();
        let reads = self.input.is_some();
        let started = process::start(id, &words, &variables, self.options.stderr, reads);
        let started = started.map(|mut process| {
            process.feed(self.input.as_ref());
            process
        });
        route.facts = Facts {
            process: started.as_ref().ok().and_then(LocalProcess::number),
            start: Some(began.elapsed()),
            attempts: 1,
            ..route.facts
        };
        started
    }
}
