//! The ssh transport, through libssh2: one task for each host, no process and no thread.
//!
//! [`SshTransport`] connects, checks the server's host key, logs in and starts the command. [`SshSession`] carries
//! the output and returns the exit. The crate `ssh-files` reads the user's files before the first connection. `ffi`
//! contains all unsafe code of the library, above a `pipe` that reads and writes for it. `drive` turns its calls into
//! futures.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use reserved_ports::{Outgoing, PortLease, PortPool};
use socket2::SockRef;
use ssh_files::{AddressFamily, HostConfig, HostNames, KeyHolder, KeyType, SshConfig, rsa_bits};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::dial::dial;
use super::{
    AttemptError, Budget, Input, NameResolver, Route, SshCommand, StderrMode, Transport,
    TransportError,
};
use crate::event::{Notice, Phase, Stream};
use crate::targets::{Target, TargetId};
use crate::transport::user_change::UserChanges;
use crate::transport::wrap::script_command;
use auth::{Credentials, LoginKey};
use config_fault::ConfigFault;
use connect::{ChannelProgram, ConnectFailure, EXCHANGES, LoginProgress};
use ffi::{Channel, Peer};
use jump::JumpSessions;
use jump_hosts::jump_error;
use pipe::ServerStream;
use retries::LoggedInHost;
use session::{KeepAlive, SessionState, SignalWay, StreamOptions};
use setup::SshSetup;
use trust::TrustDecision;

pub mod agent;
mod algorithms;
mod auth;
mod change;
pub mod config_fault;
mod connect;
mod drive;
mod end_notices;
mod ffi;
pub mod file_notice;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
pub mod gate;
mod greeting;
mod host_key_fault;
mod jump;
mod jump_hosts;
pub mod library;
mod pipe;
pub mod prompt;
mod retries;
mod session;
mod setup;
mod terminal;
#[cfg(test)]
mod testing;
mod trust;
mod tunnel;

pub use session::SshSession;
pub use setup::{PasswordSource, SecretSources, SshError};
pub use terminal::TerminalRequest;

/// Settings that all ssh sessions of a run share.
#[derive(Debug)]
pub struct SshOptions {
    /// Remote user for targets that name none, if one was given.
    pub user: Option<String>,
    /// Port for targets that name none, if one was given.
    pub port: Option<u16>,
    /// Command, which the user's login shell interprets on the host.
    pub command: SshCommand,
    /// Change of the user before the command, if there is one.
    pub user_changes: Option<Arc<UserChanges>>,
    /// Terminal of the command, if it gets one.
    pub terminal: Option<TerminalRequest>,
    /// Destination of standard error.
    pub stderr: StderrMode,
    /// True if a missing exit status is a success (`--raw`).
    pub raw: bool,
    /// Configuration of the run.
    pub config: SshConfig,
    /// Configurations of targets with settings of their own, by those settings.
    pub own_configs: BTreeMap<Vec<String>, SshConfig>,
    /// Socket of the agent, if there is one.
    pub agent: Option<PathBuf>,
}

impl SshOptions {
    /// Returns the settings for a target. No I/O.
    ///
    /// # Errors
    /// The settings for the target cannot be used.
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

    /// Returns the jump hosts of a host, in the order of the connections. No I/O.
    ///
    /// # Errors
    /// Same as [`host`](SshOptions::host).
    pub fn jump_hosts(&self, host: &HostConfig) -> Result<Vec<HostConfig>, ConfigFault> {
        Ok(self.config.jump_hosts(host)?)
    }
}

/// The ssh transport of a run.
#[derive(Debug)]
pub struct SshTransport {
    options: SshOptions,
    /// Standard input of the commands; `None` is an end of file.
    input: Option<Input>,
    setup: SshSetup,
    pool: PortPool,
    resolver: NameResolver,
    jumps: JumpSessions,
    /// Limit on simultaneous steps of key exchanges.
    exchanges: Semaphore,
}

/// Maximum number of descriptors of a host: its connection, or both ends of the socket pair that stands for it.
pub const DESCRIPTORS: u32 = 2;

/// A connection on which nothing has been sent yet.
struct NewConnection {
    stream: ServerStream,
    /// Address of the server; `None` through a jump host.
    address: Option<SocketAddr>,
    /// Lease on the source port; `None` through a jump host.
    lease: Option<PortLease>,
}

impl SshTransport {
    /// Reads the user's files and asks for secrets, for these targets. Must run within a runtime.
    ///
    /// # Errors
    /// The run cannot start.
    pub async fn new<'t>(
        mut options: SshOptions,
        input: Option<Input>,
        secrets: SecretSources<'_>,
        targets: impl Iterator<Item = &'t Target>,
        pool: PortPool,
        resolver: NameResolver,
        notes: &mut Vec<Notice>,
    ) -> Result<SshTransport, SshError> {
        if let Some(script) = input.as_ref().and_then(Input::script) {
            let change = options.user_changes.as_deref().map(UserChanges::change);
            options.command = SshCommand::Same(script_command(&script, change));
        }
        if let Some(command) = input.as_ref().and_then(Input::protocol_command) {
            options.command = SshCommand::Same(command);
        }
        let setup = setup::prepare(&options, secrets, targets, notes).await?;
        Ok(SshTransport {
            options,
            input,
            setup,
            pool,
            resolver,
            jumps: JumpSessions::default(),
            exchanges: Semaphore::new(EXCHANGES),
        })
    }

    /// Returns the password of the login, if there is one.
    #[must_use]
    pub fn password(&self) -> Option<&Zeroizing<String>> {
        self.setup.password.as_ref()
    }

    fn host(&self, target: &Target) -> Result<HostConfig, TransportError> {
        let host = self.options.host(target);
        host.map_err(|error| TransportError::Config {
            reason: error.one_line(),
        })
    }

    /// Returns the addresses of a host that this machine connects to directly.
    async fn addresses(
        &self,
        host: &HostConfig,
        budget: &mut Budget,
    ) -> Result<Vec<SocketAddr>, TransportError> {
        let found = self.resolver.lookup(&host.host_name, host.port, budget);
        let addresses = of_family(found.await?, host.address_family);
        if addresses.is_empty() {
            Err(TransportError::Name {
                reason: "no address of the family that AddressFamily wants".to_owned(),
            })
        } else {
            Ok(addresses)
        }
    }

    /// Makes one connection to a host, through these jump hosts if there are any.
    async fn new_connection(
        &self,
        host: &HostConfig,
        jump_hosts: &[HostConfig],
        route: &mut Route,
        budget: &mut Budget,
    ) -> Result<NewConnection, AttemptError> {
        if jump_hosts.is_empty() {
            let (address, outgoing) = dial(&self.pool, route, budget).await?;
            tune(&outgoing, host);
            let Outgoing { stream, lease } = outgoing;
            return Ok(NewConnection {
                stream: ServerStream::Tcp(stream),
                address: Some(address),
                lease: Some(lease),
            });
        }
        route.phase = Phase::Connect;
        route.facts.attempts += 1;
        let inner = budget.clone();
        let before = budget.left();
        let stream = budget
            .spend(self.connect_through(jump_hosts, &host.host_name, host.port, inner))
            .await;
        *route.facts.connect.get_or_insert_default() += before - budget.left();
        let stream = stream.unwrap_or_else(|| Err(budget.exhausted(Phase::Connect)));
        match stream {
            Ok(stream) => Ok(NewConnection {
                stream: ServerStream::Tunnel(stream),
                address: None,
                lease: None,
            }),
            Err(error) => Err(AttemptError::Failed(jump_error(jump_hosts, error))),
        }
    }

    /// Checks the host key and logs in, over a new connection.
    async fn enter(
        &self,
        host: &HostConfig,
        address: Option<SocketAddr>,
        stream: ServerStream,
        ask_for: Option<&[KeyType]>,
        progress: &mut LoginProgress,
    ) -> Result<Peer, ConnectFailure> {
        let names = HostNames::new(&host.host_name, host.port, host.host_key_alias.as_deref());
        let names = match address {
            Some(address) if host.check_host_ip => names.with_address(address.ip(), host.port),
            _ => names,
        };
        let expected = self.setup.trust.expected(host, &names);
        let (types, authority, certain) = match (&expected, ask_for) {
            (Some(known), Some(types)) => (types, known.has_authority, true),
            (Some(known), None) => (known.types.as_slice(), known.has_authority, known.is_exact),
            (None, types) => (types.unwrap_or_default(), false, true),
        };
        let algorithms = self.setup.supported.choose(host, types, authority)?;
        let proved = connect::prove(stream, &algorithms, &self.exchanges, progress).await?;
        progress.phase = Phase::HostKey;
        let key = &proved.host_key;
        let trusted = self.setup.trust.check(host, &names, key, certain)?;
        if let TrustDecision::AskFor(types) = trusted {
            return Err(ConnectFailure::AskFor(types));
        }
        let mut peer = connect::proceed(proved, progress).await?;
        self.log_in(host, &mut peer, &trusted, progress).await?;
        Ok(peer)
    }

    async fn log_in(
        &self,
        host: &HostConfig,
        peer: &mut Peer,
        trusted: &TrustDecision,
        progress: &mut LoginProgress,
    ) -> Result<(), TransportError> {
        // A server that may be an impostor gets no password, which it could use on other hosts.
        let secrets = *trusted == TrustDecision::Trusted;
        let is_on = |method: &String| match method.as_str() {
            auth::PUBLIC_KEY => host.pubkey_authentication,
            auth::KEYBOARD_INTERACTIVE => secrets && host.kbd_interactive_authentication,
            auth::PASSWORD => secrets && host.password_authentication,
            _ => false,
        };
        let preferred = host.preferred_authentications.iter();
        let methods: Vec<String> = preferred.filter(|&method| is_on(method)).cloned().collect();
        let loaded = self.setup.agent(host, self.options.agent.as_deref());
        let in_agent = loaded.map_or(&[][..], |loaded| &loaded.keys);
        let mut candidates = self
            .setup
            .identities
            .candidates(&setup::identity_settings(host), in_agent);
        let least = host.required_rsa_size;
        candidates.retain(|candidate| match rsa_bits(&candidate.blob) {
            Some(bits) if bits < least => {
                self.setup.trust.add_remark(format!(
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
                algorithms::key_algorithms(&candidate.blob)
                    .iter()
                    .any(|name| accepted.iter().any(|accepted| accepted == name))
            });
        }
        let keys: Vec<LoginKey<'_>> = candidates
            .into_iter()
            .map(|candidate| LoginKey {
                agent: match candidate.holder {
                    KeyHolder::Agent(_) => loaded.map(|loaded| &loaded.client),
                    KeyHolder::Memory(_) => None,
                },
                candidate,
            })
            .collect();
        let credentials = Credentials {
            user: &host.user,
            methods: &methods,
            keys: &keys,
            password: self.setup.password.as_ref(),
            host: &host.host_name,
            trials: &self.setup.trials,
        };
        auth::log_in(peer, &credentials, progress).await
    }

    fn session(
        &self,
        id: TargetId,
        host: &HostConfig,
        LoggedInHost { peer, lease }: LoggedInHost,
        channel: Channel,
    ) -> SshSession {
        SshSession {
            id,
            peer,
            channel,
            lease,
            alive: host
                .server_alive_interval
                .map(|interval| KeepAlive::new(interval, host.server_alive_count_max)),
            options: StreamOptions {
                stderr: match self.options.stderr {
                    StderrMode::Separate => Some(Stream::Stderr),
                    StderrMode::Merge => Some(Stream::Stdout),
                    StderrMode::Drop => None,
                },
                raw: self.options.raw,
            },
            input: None,
            input_ended: false,
            state: SessionState::Running,
            signal: None,
            early: Vec::new(),
            signal_way: SignalWay::Request,
        }
    }
}

/// Sets the options of a socket.
fn tune(outgoing: &Outgoing, host: &HostConfig) {
    // An error is ignored: the connection works without these options, or fails at its first use.
    let _ = outgoing.stream.set_nodelay(true);
    if host.tcp_keep_alive {
        let _ = SockRef::from(&outgoing.stream).set_keepalive(true);
    }
}

/// Keeps the addresses of the family that the configuration selects.
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
        let jump_hosts = self.jump_hosts(&host).map_err(AttemptError::Failed)?;
        let login = self.connect_and_log_in(&host, &jump_hosts, route, budget);
        let mut logged_in = login.await?;
        route.phase = Phase::Start;
        let environment = host.environment(self.options.config.environment());
        let subsystem = self.input.as_ref().and_then(|input| input.subsystem(id));
        let command = self.options.command.of(id);
        let program = match subsystem {
            Some(name) => ChannelProgram::Subsystem(name),
            None => ChannelProgram::Command(&command),
        };
        let turn = match &self.options.user_changes {
            Some(changes) => Some(self.start_turn(changes, budget).await?),
            None => None,
        };
        let before = budget.left();
        let start = connect::exec(
            &mut logged_in.peer,
            program,
            &environment,
            self.options.terminal.as_ref(),
            &mut route.request,
        );
        let started = budget.spend(start).await;
        *route.facts.start.get_or_insert_default() += before - budget.left();
        let started = started.unwrap_or_else(|| Err(budget.exhausted(Phase::Start)));
        let channel = started.map_err(AttemptError::Failed)?;
        if let Some(interval) = host.server_alive_interval {
            let seconds = u32::try_from(interval.as_secs()).unwrap_or(u32::MAX);
            logged_in.peer.set_keep_alive(seconds.max(1));
        }
        let mut session = self.session(id, &host, logged_in, channel);
        if subsystem.is_some() {
            session.options = session.options.for_subsystem();
        }
        if let (Some(changes), Some(turn)) = (&self.options.user_changes, turn) {
            // Boxed: few runs need it, and it would make every host task larger.
            let change = self.change_user(&mut session, changes, turn, &host, route, budget);
            Box::pin(change).await.map_err(AttemptError::Failed)?;
        }
        session.input = self.input.as_ref().map(|input| input.reader(id));
        Ok(session)
    }

    fn has_subsystems(&self, _: &Target) -> bool {
        // A subsystem has the rights of the login user.
        self.options.user_changes.is_none()
    }

    fn notices(&self) -> Vec<String> {
        self.setup.trust.notices()
    }
}
