//! The `mrsh` program: hands the arguments to the library and ends with its status.

#[cfg(not(target_os = "linux"))]
compile_error!(
    "mrsh runs on Linux only: it asks the Linux kernel which source ports are in use, and shares them as only Linux does"
);

#[cfg(target_os = "linux")]
mod closed_output;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    mrsh::main(std::env::args_os(), closed_output::was_closed())
}

#[cfg(not(target_os = "linux"))]
fn main() {}
