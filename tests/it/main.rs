//! Integration tests: the built program against real and scripted daemons.

#[cfg(test)]
mod exec;
mod faults;
mod lab;
mod progress;
mod reports;
#[cfg(test)]
mod targets;
// The condition always holds here. It tells clippy, which lets tests unwrap, that these are some.
#[cfg(test)]
mod gather_diff;
#[cfg(test)]
mod nodeset_diff;
#[cfg(test)]
mod ssh_config_diff;
#[cfg(test)]
mod support;
