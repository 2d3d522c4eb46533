//! The transports of a run, for those that its targets use.

use super::demo::EmbeddedDaemons;
use super::ports;
use crate::error::Error;
use crate::event::Notice;
use crate::plan::TransportPlan;
use crate::targets::{Target, TransportKind};
use crate::transport::any::AnyTransport;
use crate::transport::exec::openssh::{OpenSshOptions, OpenSshTransport};
use crate::transport::exec::{ExecOptions, ExecTransport};
use crate::transport::rsh::{RshOptions, RshTransport};
use crate::transport::ssh::prompt::Terminal;
use crate::transport::ssh::{PasswordSource, SshOptions, SshTransport};
use crate::transport::{Input, NameResolver};

/// Values that exist only once the set-up has begun, and which the plan therefore lacks.
pub(super) struct Started<'a> {
    /// The password, or where it comes from.
    pub(super) password: PasswordSource,
    /// Standard input, if the commands read it.
    pub(super) input: Option<Input>,
    /// The embedded daemons, if they answer.
    pub(super) demo: Option<&'a EmbeddedDaemons>,
}

/// Makes the transports of the plan.
pub(super) async fn set_up(
    plan: TransportPlan,
    started: Started<'_>,
    targets: &[Target],
    notices: &mut Vec<Notice>,
) -> Result<AnyTransport, Error> {
    let Started {
        password,
        input,
        demo,
    } = started;
    let no_random = "get random bytes";
    let resolver = NameResolver::default();
    // Without the right to bind reserved ports, a run with --demo uses any ports.
    let rsh_source_ports = demo.map_or(&plan.source_ports, EmbeddedDaemons::source_ports);
    let mut pool = None;
    let rsh = match plan.rsh {
        Some(options) => {
            let pool = pool.insert(ports::pool(rsh_source_ports, targets.len(), notices)?);
            let options = rsh_options(options, input.clone(), demo);
            let rsh = RshTransport::new(options, pool.clone(), resolver.clone());
            Some(rsh.map_err(Error::system(no_random))?)
        }
        None => None,
    };
    let ssh = match plan.ssh {
        Some(options) => {
            let pool = match pool {
                // Two pools of the same ports would not know each other's leases.
                Some(pool) if plan.ssh_source_ports == *rsh_source_ports => pool,
                _ => ports::pool(&plan.ssh_source_ports, targets.len(), notices)?,
            };
            let options = SshOptions {
                password,
                input: input.clone(),
                ..options
            };
            let uses_ssh =
                |target: &&Target| target.transport_or(plan.default) == TransportKind::Ssh;
            let ssh_targets = targets.iter().filter(uses_ssh);
            let prompt = &mut Terminal;
            let ssh =
                SshTransport::new(options, ssh_targets, pool, resolver, prompt, notices).await?;
            Some(Box::new(ssh))
        }
        None => None,
    };
    let openssh = plan.openssh.map(|options| {
        OpenSshTransport::new(OpenSshOptions {
            input: input.clone(),
            ..options
        })
    });
    let exec = plan
        .exec
        .map(|options| ExecTransport::new(ExecOptions { input, ..options }));
    Ok(AnyTransport {
        default: plan.default,
        rsh,
        ssh,
        openssh: openssh.transpose().map_err(Error::system(no_random))?,
        exec,
    })
}

fn rsh_options(
    options: RshOptions,
    input: Option<Input>,
    demo: Option<&EmbeddedDaemons>,
) -> RshOptions {
    match demo {
        Some(demo) => RshOptions {
            local_user: demo.local_user().to_owned(),
            reserved_callers: demo.calls_back_from_reserved(),
            input,
            ..options
        },
        None => RshOptions { input, ..options },
    }
}
