//! Integration tests: the built program against real and scripted daemons.
//!
//! Each module has `#[cfg(test)]`, which is always true here. Only with it, clippy knows that the modules are tests,
//! in which it allows `unwrap`.

#[cfg(test)]
mod completion;
#[cfg(test)]
mod copy;
#[cfg(test)]
mod docs;
#[cfg(test)]
mod exec;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod gather_diff;
#[cfg(test)]
mod journal;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod nodeset_diff;
#[cfg(test)]
mod openssh;
#[cfg(test)]
mod personalities;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod reports;
#[cfg(test)]
#[cfg(test)]
mod ssh_endless;
#[cfg(test)]
mod ssh_faults;
#[cfg(test)]
mod ssh_hostile;
#[cfg(test)]
mod stdin;
#[cfg(test)]
mod support;
#[cfg(test)]
mod table;
#[cfg(test)]
mod targets;
#[cfg(test)]
mod volume;
