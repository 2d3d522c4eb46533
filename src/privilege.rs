//! Privileges that the program's file has and its caller lacks.
//!
//! rshd trusts connections from reserved ports, so the privilege to bind one is valuable. It may serve rsh, in the
//! caller's own name, and nothing else. The file may have it by a capability (`setcap cap_net_bind_service+ep`) or,
//! as `rsh` always had, by being setuid root.
//!
//! - [`settle`] comes first, before any file is opened and any thread is started. The process becomes its real user
//!   and group for good, keeps only this capability, and checks that it cannot get the others back. So all files are
//!   opened as the caller. A child process has the caller's privileges only, because the kernel passes on neither
//!   this capability nor any other.
//! - [`Privilege::of_this_process`] is for the plan, which then allows only rshd's port. The caller can never choose
//!   the local user name.
//! - [`give_up`] drops the capability if a run does not need it: a run without rsh, a run from ports outside 512–1023
//!   (to ports below 512 clients send passwords, and mrsh listens for call-backs), or a run with embedded daemons,
//!   which connect to any port that a client names.
//! - [`bar_new`] keeps the process from gaining privileges by `execve`. A run whose transports start local commands
//!   is not kept from it: these may be `sudo` or `ping`, which the caller could run as well.
//!
//! The environment belongs to the caller. In a process with such privileges, the dynamic loader and OpenSSL ignore
//! variables that would load code, and the loader removes `TMPDIR` and the variables of the resolver. `HOME`,
//! `XDG_CONFIG_HOME`, `CLUSTERSHELL_CFGDIR`, `PDSH_GENDERS_FILE`, `WCOLL` and `MRSH_*` name files and settings: the
//! files are read as the caller, and the settings are checked like options. `PATH` is for child processes only, and
//! `SSH_AUTH_SOCK` for them and for ssh. `USER` and `LOGNAME` are not read: the environment does not decide who the
//! caller is.
//!
//! The process stays open to inspection (`/proc/self/fd`), because `-f <(...)` is a path into it. Still, nobody
//! without the capability can trace it: the kernel compares capabilities.

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

/// Owner of the privilege to bind reserved ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// The caller has the privilege, or neither the caller nor the file has it.
    Caller,
    /// Only the program's file has the privilege.
    File,
}

impl Privilege {
    /// Returns the owner for this process, after [`settle`].
    #[must_use]
    pub fn of_this_process() -> Self {
        // If the capabilities cannot be read, assume the worst.
        if file_capabilities().is_ok_and(|of_file| !of_file.contains(BIND)) {
            Privilege::Caller
        } else {
            Privilege::File
        }
    }
}

/// Returns the capabilities that this process has by its file.
fn file_capabilities() -> io::Result<CapabilitySet> {
    // root has its capabilities without the file.
    if getuid().is_root() {
        return Ok(CapabilitySet::empty());
    }
    let permitted = capabilities(None)?.permitted;
    // A caller other than root passes capabilities on as ambient ones, and the kernel passes none on to a file that has
    // its own. A capability that the kernel does not know counts as one of the file: that is the worse case.
    let is_ambient = |one: &CapabilitySet| capability_is_in_ambient_set(*one).unwrap_or(false);
    Ok(permitted.iter().filter(|one| !is_ambient(one)).collect())
}

/// Drops the privileges of the program's file, except the one to bind reserved ports. Must be called before any other
/// thread exists.
///
/// # Errors
/// A privilege cannot be dropped, or could be gained back. The program must end.
pub fn settle() -> io::Result<()> {
    let (file_user, user) = (geteuid(), getuid());
    let (file_group, group) = (getegid(), getgid());
    let is_setid = file_user != user || file_group != group;
    if is_setid {
        // Without this, the kernel clears the capabilities when the user changes.
        set_keep_capabilities(true)?;
        // The group first: after the change of the user, the right to change it is gone.
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
        set_keep_capabilities(false)?;
    }
    let of_file = file_capabilities()?;
    if !of_file.is_empty() {
        keep(of_file & BIND)?;
        // Until now /proc/self of such a process belongs to root, and `-f <(…)` is a path into it.
        set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    }
    if is_setid && !user.is_root() {
        check_dropped(file_user, user, file_group, group)?;
    }
    Ok(())
}

/// Drops the privilege to bind reserved ports, if it is that of the program's file.
///
/// # Errors
/// It cannot be dropped. The program must end.
pub fn give_up() -> io::Result<()> {
    match Privilege::of_this_process() {
        Privilege::File => keep(CapabilitySet::empty()),
        Privilege::Caller => Ok(()),
    }
}

/// Keeps this process and its children from gaining privileges by `execve`, if it has one of the program's file.
///
/// # Errors
/// The kernel refuses. The program must end.
pub fn bar_new() -> io::Result<()> {
    match Privilege::of_this_process() {
        Privilege::File => Ok(set_no_new_privs(true)?),
        Privilege::Caller => Ok(()),
    }
}

/// Keeps these capabilities and no others, for this process and not for its children.
fn keep(kept: CapabilitySet) -> io::Result<()> {
    let sets = CapabilitySets {
        effective: kept,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    // Ambient capabilities would pass to the children.
    clear_ambient_capability_set()?;
    set_capabilities(None, sets)?;
    // Nothing may depend on a call that only seemed to succeed.
    if capabilities(None)? == sets {
        Ok(())
    } else {
        Err(io::Error::other("the kernel kept other capabilities"))
    }
}

/// Checks that the process cannot become the user or the group of its file again.
fn check_dropped(file_user: Uid, user: Uid, file_group: Gid, group: Gid) -> io::Result<()> {
    let not_dropped = || io::Error::other("the program's user or group can be gained back");
    let is_refused = |change: rustix::io::Result<()>| change == Err(Errno::PERM);
    if file_user != user && !is_refused(set_thread_res_uid(None, file_user, None)) {
        return Err(not_dropped());
    }
    if file_group != group && !is_refused(set_thread_res_gid(None, file_group, None)) {
        return Err(not_dropped());
    }
    if geteuid() == user && getegid() == group {
        Ok(())
    } else {
        Err(not_dropped())
    }
}
