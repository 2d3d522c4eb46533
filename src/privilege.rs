//! Rights that the program's file has and its caller lacks: what is kept of them, and what it may serve.
//!
//! rshd believes what comes from a reserved port, so the right to bind one is worth something to whoever
//! runs the program: it may serve to talk rsh, in the caller's own name, and for nothing else. The file may
//! have it by a capability (`setcap cap_net_bind_service+ep`) or, as `rsh` always had, by being setuid root.
//!
//! - [`settle`] is the program's first act, before any file is opened and any thread started: the process
//!   becomes its real user and group for good, keeps the one capability, and checks that no way leads back.
//!   So all files are opened as the caller, and a child process, to which the kernel hands on neither this
//!   capability nor any other, is the caller's own.
//! - [`Privilege::of_this_process`] tells the plan, which then lets only rshd's port be called. The local
//!   user name is never the caller's to choose, lent rights or not.
//! - [`give_up`] ends it as soon as a run is known to have no use for it: one that is not rsh's, or comes from
//!   other ports than 512–1023 (those below are where clients send passwords to, and call-backs are listened
//!   for), or has embedded daemons, which connect to wherever they are told to.
//! - [`bar_new`] ends the process's way to further rights. A run whose transports start local commands keeps
//!   it, for what they may be told to run (`sudo`, `ping`) the caller could run as well.
//!
//! The environment is the caller's and can do what the caller can. The dynamic loader and OpenSSL heed
//! none of theirs that would bring code into a process with lent rights, and the loader takes away `TMPDIR` and
//! what the resolver listens to. `HOME`, `XDG_CONFIG_HOME`, `CLUSTERSHELL_CFGDIR`, `PDSH_GENDERS_FILE`, `WCOLL`
//! and `MRSH_*` name files and settings: the files are read as the caller, and the settings are checked
//! like what is typed. `PATH` serves child processes alone, and `SSH_AUTH_SOCK` them and ssh. `USER` and `LOGNAME` are not
//! read. Nothing here asks the environment who the caller is.
//!
//! The process stays open to inspection (`/proc/self/fd`) as if it had no lent rights, for `-f <(...)` is a
//! path into it. Nobody who lacks the capability can trace it all the same: the kernel compares.

use std::io;

use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Gid, Uid, getegid, geteuid, getgid, getuid, set_dumpable_behavior,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_ambient_set,
    clear_ambient_capability_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_res_gid, set_thread_res_uid,
};

/// Error context for dropping setuid or file capabilities.
pub(crate) const DROP: &str = "drop the privileges of the program's file";

/// The only capability that is kept.
const BIND: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

/// Whose the right to bind reserved ports is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The caller's own, if there is one.
    Own,
    /// The program's file has it, and the caller has not.
    Lent,
}

impl Privilege {
    /// Looks at this process, which is [settled](settle).
    #[must_use]
    pub fn of_this_process() -> Self {
        // Of what cannot be asked the worse is taken.
        match lent().is_ok_and(|lent| !lent.contains(BIND)) {
            true => Privilege::Own,
            false => Privilege::Lent,
        }
    }
}

/// The capabilities that this process has by its file. Those that a caller other than root hands down are
/// ambient, and the kernel hands down none to a file that has its own.
fn lent() -> io::Result<CapabilitySet> {
    if getuid().is_root() {
        return Ok(CapabilitySet::empty());
    }
    let permitted = capabilities(None)?.permitted;
    let handed_down = |one: &CapabilitySet| capability_is_in_ambient_set(*one).unwrap_or(false);
    Ok(permitted.iter().filter(|one| !handed_down(one)).collect())
}

/// Drops whatever the program's file lends its caller, but for the right to bind reserved ports. To be
/// called before any other thread exists.
///
/// # Errors
/// Something cannot be dropped, or could be had back: the program must end.
pub fn settle() -> io::Result<()> {
    let (lent_user, user) = (geteuid(), getuid());
    let (lent_group, group) = (getegid(), getgid());
    let is_set = lent_user != user || lent_group != group;
    if is_set {
        // Else the capability would go with the user.
        set_keep_capabilities(true)?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        set_keep_capabilities(false)?;
    }
    let lent = lent()?;
    if !lent.is_empty() {
        keep(lent & BIND)?;
        set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    }
    if is_set && !user.is_root() {
        is_barred(lent_user, user, lent_group, group)?;
    }
    Ok(())
}

/// Gives up the right to bind reserved ports, if it is a lent one.
///
/// # Errors
/// It cannot be given up: the program must end.
pub fn give_up() -> io::Result<()> {
    match Privilege::of_this_process() {
        Privilege::Lent => keep(CapabilitySet::empty()),
        Privilege::Own => Ok(()),
    }
}

/// Bars this process, and what it may start, from any right that it has not now, if it has a lent one.
///
/// # Errors
/// The system's.
pub fn bar_new() -> io::Result<()> {
    match Privilege::of_this_process() {
        Privilege::Lent => Ok(set_no_new_privs(true)?),
        Privilege::Own => Ok(()),
    }
}

/// Keeps these capabilities and no others, for this process and none that it starts.
fn keep(kept: CapabilitySet) -> io::Result<()> {
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    clear_ambient_capability_set()?;
    set_capabilities(None, sets)?;
    match capabilities(None)? == sets {
        true => Ok(()),
        false => Err(io::Error::other("the kernel kept other capabilities")),
    }
}

/// Makes sure that there is no way back to the user and the group that the file lent.
fn is_barred(lent_user: Uid, user: Uid, lent_group: Gid, group: Gid) -> io::Result<()> {
    let back = || io::Error::other("the program's user or group can be had back");
    let is_refused = |taken: rustix::io::Result<()>| taken == Err(Errno::PERM);
    if lent_user != user && !is_refused(set_thread_res_uid(None, lent_user, None)) {
        return Err(back());
    }
    if lent_group != group && !is_refused(set_thread_res_gid(None, lent_group, None)) {
        return Err(back());
    }
    match geteuid() == user && getegid() == group {
        true => Ok(()),
        false => Err(back()),
    }
}
