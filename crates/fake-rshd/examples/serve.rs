//! Starts daemons that run commands, and prints where they listen, until standard input ends.
//!
//! usage: `cargo run --example serve -- USER LABEL…`, then for example
//! `mrsh -R rsh --source-ports any -p PORT -w ADDRESS 'echo $RSH_HOST'` as USER.

use std::io::{self, Write};

use fake_rshd::{Daemons, Shell, address};

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let user = arguments.next().unwrap_or_default();
    let labels: Vec<String> = arguments.collect();
    let daemons = Daemons::run_commands(Shell::new(user, labels.clone()))?;
    let mut output = io::stdout().lock();
    for (index, label) in (0..).zip(&labels) {
        writeln!(output, "{label} {} {}", address(index), daemons.port())?;
    }
    drop(output);
    // A signal would leave commands running, since nothing would drop the daemons.
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}
