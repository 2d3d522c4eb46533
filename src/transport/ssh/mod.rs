//! ssh through libssh2: no process and no thread for a host, but a task.
//!
//! [`SshTransport`] connects, checks whose key the server has, logs in and starts the command;
//! [`SshSession`] carries its output and says how it ended. The user's files are read before the first
//! connection, by the crate `ssh-files`. libssh2 is in `ffi`, which has all of the library's unsafe code, over a `pipe` that
//! reads and writes for it; `drive` makes futures of its calls.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use reserved_ports::Outgoing;
use reserved_ports::{PortLease, PortPool};
use socket2::SockRef;
use ssh_files::{AddressFamily, HostConfig, HostNames, KeyHolder, KeyType, SshConfig, rsa_bits};
use tokio::sync::Semaphore;

use super::dial::dial;
use super::{
    AttemptError, Budget, Input, NameResolver, Route, StderrMode, Transport, TransportError,
};
use crate::event::{Phase, Stream};
use crate::targets::{Target, TargetId};
use auth::{Claim, Key};
use config_fault::ConfigFault;
use connect::{EXCHANGES, Failure, Progress};
use ffi::{Channel, Peer};
use jump::Jumps;
use note::Note;
use pipe::Line;
use prompt::Ask;
use session::{KeepAlive, State, Streams};
use setup::Ready;
use tries::Tries;
use trust::Trusted;
use way::by_way_of;

pub mod agent;
mod algorithms;
mod auth;
pub mod config_fault;
mod connect;
mod drive;
mod ffi;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
pub mod gate;
mod greeting;
mod host_key_fault;
mod jump;
pub mod library;
pub mod note;
mod pipe;
pub mod prompt;
mod remarks;
mod session;
mod setup;
#[cfg(test)]
mod testing;
mod trials;
mod tries;
mod trust;
mod tunnel;
mod way;

pub use session::SshSession;
pub use setup::{PasswordSource, SshError};

/// What all ssh sessions of a run have in common.
#[derive(Debug)]
pub struct SshOptions {
    /// The remote user of targets that name none, if one was given.
    pub user: Option<String>,
    /// The port of targets that name none, if one was given.
    pub port: Option<u16>,
    /// The command, which the user's login shell interprets over there.
    pub command: Vec<u8>,
    /// What becomes of standard error.
    pub stderr: StderrMode,
    /// An end of which the server does not say how it was counts as one.
    pub raw: bool,
    /// What the commands read, if not an end of file at once.
    pub input: Option<Input>,
    /// What the configuration says.
    pub config: SshConfig,
    /// The same for targets that have settings of their own, by those settings.
    pub own_configs: BTreeMap<Vec<String>, SshConfig>,
    /// Where the agent listens, if there is one.
    pub agent: Option<PathBuf>,
    /// Where the password comes from.
    pub password: PasswordSource,
}

impl SshOptions {
    /// What the configuration says of a target. No I/O.
    ///
    /// # Errors
    /// What it says cannot be done.
    pub fn host(&self, target: &Target) -> Result<HostConfig, ConfigFault> {
        let host = self.config_of(target).host(
            &target.host,
            target.user.as_deref().or(self.user.as_deref()),
            target.port.or(self.port),
        );
        Ok(host?)
    }

    fn config_of(&self, target: &Target) -> &SshConfig {
        let own = target.inventory.as_ref().map(|from| from.own_settings());
        let own = own.filter(|own| !own.is_empty());
        own.and_then(|own| self.own_configs.get(&own))
            .unwrap_or(&self.config)
    }

    /// The hosts between here and a host, in the order in which they are visited. No I/O.
    ///
    /// # Errors
    /// As [`host`](SshOptions::host).
    pub fn hops(&self, host: &HostConfig) -> Result<Vec<HostConfig>, ConfigFault> {
        Ok(self.config.jump_hosts(host)?)
    }
}

/// The ssh transport of a run.
#[derive(Debug)]
pub struct SshTransport {
    options: SshOptions,
    ready: Ready,
    pool: PortPool,
    resolver: NameResolver,
    jumps: Jumps,
    /// Whose turn it is to exchange keys.
    exchanges: Semaphore,
}

/// How many descriptors a host takes at most: the connection, or both ends of what stands for it within
/// another one.
pub const DESCRIPTORS: u32 = 2;

/// What a session is made of, when its command has started.
struct Started {
    peer: Peer,
    channel: Channel,
}

impl SshTransport {
    /// Reads the user's files and asks what is to be asked, for these targets. Within a runtime.
    ///
    /// # Errors
    /// Nothing can be begun.
    pub async fn new<'t>(
        mut options: SshOptions,
        targets: impl Iterator<Item = &'t Target>,
        pool: PortPool,
        resolver: NameResolver,
        asked: &mut dyn Ask,
        notes: &mut Vec<Note>,
    ) -> Result<SshTransport, SshError> {
        let ready = setup::prepare(&options, targets, asked, notes).await?;
        // The one copy that is needed is there.
        options.password = PasswordSource::None;
        Ok(SshTransport {
            options,
            ready,
            pool,
            resolver,
            jumps: Jumps::default(),
            exchanges: Semaphore::new(EXCHANGES),
        })
    }

    fn host(&self, target: &Target) -> Result<HostConfig, TransportError> {
        let host = self.options.host(target);
        host.map_err(|error| TransportError::Config {
            reason: error.one_line(),
        })
    }

    /// The addresses of a host that this machine connects to itself.
    async fn addresses(
        &self,
        host: &HostConfig,
        budget: &mut Budget,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        let found = self.resolver.lookup(&host.host_name, host.port, budget);
        let addresses = of_family(found.await?, host.address_family);
        match addresses.is_empty() {
            false => Ok(addresses),
            true => Err(TransportError::Name {
                reason: "no address of the family that AddressFamily wants".to_owned(),
            }),
        }
    }

    /// Logs in to a host over a connection.
    async fn enter(
        &self,
        host: &HostConfig,
        address: Option<SocketAddr>,
        line: Line,
        ask_for: Option<&[KeyType]>,
        progress: &mut Progress<'_>,
    ) -> Result<Peer, Failure> {
        let names = HostNames::new(&host.host_name, host.port, host.host_key_alias.as_deref());
        let names = match address {
            Some(address) if host.check_host_ip => names.with_address(address.ip(), host.port),
            _ => names,
        };
        let expected = self.ready.trust.expected(host, &names);
        let (types, authority, certain) = match (&expected, ask_for) {
            (Some(known), Some(types)) => (types, known.has_authority, true),
            (Some(known), None) => (known.types.as_slice(), known.has_authority, known.is_exact),
            (None, types) => (types.unwrap_or_default(), false, true),
        };
        let algorithms = self.ready.supported.choose(host, types, authority)?;
        let proved = connect::prove(line, &algorithms, &self.exchanges, progress).await?;
        progress.phase = Phase::HostKey;
        let key = &proved.host_key;
        let trusted = self.ready.trust.check(host, &names, key, certain)?;
        if let Trusted::AskFor(types) = trusted {
            return Err(Failure::AskFor(types));
        }
        let mut peer = connect::proceed(proved, progress).await?;
        self.log_in(host, &mut peer, &trusted, progress).await?;
        Ok(peer)
    }

    async fn log_in(
        &self,
        host: &HostConfig,
        peer: &mut Peer,
        trusted: &Trusted,
        progress: &mut Progress<'_>,
    ) -> Result<(), TransportError> {
        // To a server that may be another, nothing is shown that it could use elsewhere.
        let secrets = *trusted == Trusted::Yes;
        let is_on = |method: &String| match method.as_str() {
            auth::PUBLIC_KEY => host.pubkey_authentication,
            auth::KEYBOARD_INTERACTIVE => secrets && host.kbd_interactive_authentication,
            auth::PASSWORD => secrets && host.password_authentication,
            _ => false,
        };
        let preferred = host.preferred_authentications.iter();
        let methods: Vec<String> = preferred.filter(|&method| is_on(method)).cloned().collect();
        let held = self.ready.agent(host, self.options.agent.as_deref());
        let in_agent = held.map_or(&[][..], |held| &held.keys);
        let mut candidates = self
            .ready
            .identities
            .candidates(&setup::identity_settings(host), in_agent);
        let least = host.required_rsa_size;
        candidates.retain(|candidate| match rsa_bits(&candidate.blob) {
            Some(bits) if bits < least => {
                self.ready.trust.remark(format!(
                    "{}: an RSA key of {bits} bits is not used, for RequiredRSASize demands {least}",
                    candidate.name
                ));
                false
            }
            _ => true,
        });
        if let Some(spec) = &host.pubkey_accepted_algorithms {
            let accepted = algorithms::accepted(spec);
            candidates.retain(|candidate| {
                algorithms::of_key(&candidate.blob)
                    .iter()
                    .any(|name| accepted.iter().any(|accepted| accepted == name))
            });
        }
        let keys: Vec<Key<'_>> = candidates
            .into_iter()
            .map(|candidate| Key {
                agent: match candidate.holder {
                    KeyHolder::Agent(_) => held.map(|held| &held.client),
                    KeyHolder::Memory(_) => None,
                },
                candidate,
            })
            .collect();
        let claim = Claim {
            user: &host.user,
            methods: &methods,
            keys: &keys,
            password: self.ready.password.as_ref(),
            host: &host.host_name,
            trials: &self.ready.trials,
        };
        auth::log_in(peer, &claim, progress).await
    }

    /// Logs in and starts the command.
    async fn start(
        &self,
        host: &HostConfig,
        address: Option<SocketAddr>,
        line: Line,
        ask_for: Option<&[KeyType]>,
        progress: &mut Progress<'_>,
    ) -> Result<Started, Failure> {
        let mut peer = self.enter(host, address, line, ask_for, progress).await?;
        let environment = host.environment(self.options.config.environment());
        let command = &self.options.command;
        let channel = connect::exec(&mut peer, command, &environment, progress).await?;
        if let Some(interval) = host.server_alive_interval {
            let seconds = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
            peer.set_keep_alive(seconds.max(1));
        }
        Ok(Started { peer, channel })
    }

    fn session(
        &self,
        id: TargetId,
        host: &HostConfig,
        started: Started,
        lease: Option<PortLease>,
    ) -> SshSession {
        SshSession {
            id,
            peer: started.peer,
            channel: started.channel,
            lease,
            alive: host
                .server_alive_interval
                .map(|interval| KeepAlive::new(interval, host.server_alive_count_max)),
            options: Streams {
                stderr: match self.options.stderr {
                    StderrMode::Separate => Some(Stream::Stderr),
                    StderrMode::Merge => Some(Stream::Stdout),
                    StderrMode::Drop => None,
                },
                raw: self.options.raw,
            },
            input: self.options.input.as_ref().map(|input| input.reader(id)),
            input_ended: false,
            state: State::Running,
            signal: None,
        }
    }
}

/// Sets what a connection is to be like.
fn tune(outgoing: &Outgoing, host: &HostConfig) {
    // A connection that cannot be tuned works all the same, or shows what is wrong when it is used.
    let _ = outgoing.stream.set_nodelay(true);
    if host.tcp_keep_alive {
        let _ = SockRef::from(&outgoing.stream).set_keepalive(true);
    }
}

/// The addresses of the family that the configuration wants.
fn of_family(addresses: Vec<SocketAddr>, family: AddressFamily) -> Vec<SocketAddr> {
    let mut addresses = addresses;
    addresses.retain(|address| match family {
        AddressFamily::Any => true,
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
    });
    addresses
}

impl Transport for SshTransport {
    type Session = SshSession;

    async fn route(&self, target: &Target, budget: &mut Budget) -> Result<Route, TransportError> {
        let host = self.host(target)?;
        if let Some(most) = host.connect_timeout {
            budget.limit(most);
        }
        if !host.jumps.is_empty() {
            return Ok(Route::nowhere());
        }
        Ok(Route::new(self.addresses(&host, budget).await?))
    }

    async fn connect(
        &self,
        id: TargetId,
        target: &Target,
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<SshSession, AttemptError> {
        let host = self.host(target).map_err(AttemptError::Failed)?;
        let hops = self.hops(&host).map_err(AttemptError::Failed)?;
        let mut tries = Tries::default();
        loop {
            let (line, address, lease) = match hops.is_empty() {
                true => match dial(&self.pool, route, budget).await {
                    Ok((address, outgoing)) => {
                        tune(&outgoing, &host);
                        let Outgoing { stream, lease } = outgoing;
                        (Line::Direct(stream), Some(address), Some(lease))
                    }
                    Err(AttemptError::Failed(error)) => {
                        tries.not_reached(error, budget).await?;
                        continue;
                    }
                    Err(setback) => return Err(setback),
                },
                false => {
                    route.phase = Phase::Connect;
                    route.facts.attempts += 1;
                    let inner = budget.clone();
                    let before = budget.left();
                    let line = budget
                        .spend(self.through(&hops, &host.host_name, host.port, inner))
                        .await;
                    *route.facts.connect.get_or_insert_default() += before - budget.left();
                    let line = line.unwrap_or_else(|| Err(budget.exhausted(Phase::Connect)));
                    let line =
                        line.map_err(|error| AttemptError::Failed(by_way_of(&hops, error)))?;
                    (Line::Through(line), None, None)
                }
            };
            let mut progress = Progress::new(budget, &mut route.asked);
            let before = budget.left();
            let start = self.start(
                &host,
                address,
                line,
                tries.ask_for.as_deref(),
                &mut progress,
            );
            let started = budget.spend(start).await;
            *route.facts.start.get_or_insert_default() += before - budget.left();
            route.phase = progress.phase;
            match started {
                Some(Ok(started)) => return Ok(self.session(id, &host, started, lease)),
                Some(Err(failure)) => {
                    drop(lease);
                    tries.again(failure, budget).await?;
                }
                None => return Err(tries.out_of_time(&progress, budget)),
            }
        }
    }

    fn notices(&self) -> Vec<String> {
        self.ready.trust.remarks()
    }
}
