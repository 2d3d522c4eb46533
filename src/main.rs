//! The `mrsh` program: hands the arguments to the library and ends as it says.

use std::process::ExitCode;

fn main() -> ExitCode {
    mrsh::main(std::env::args_os())
}
