//! `-T N`, for which pdsh has tests of itself.

use std::ffi::OsString;
use std::io;

use super::messages::{Ended, PdshCaller};
use crate::error_text::plain;
use crate::exit::ExitStatus;
use crate::messages::print;
use crate::transport::exec::{Template, TemplateValues};

/// Runs a test and prints its result.
pub(super) fn run(number: i64, caller: &PdshCaller) -> Ended {
    let (name, passed) = match number {
        0 => ("xstrerrorcat", errors_have_texts()),
        1 => ("pipecmd", placeholders_are_replaced()),
        _ => return Ended::Message(format!("{}: Test {number} unknown", caller.name)),
    };
    let result = if passed { "PASS" } else { "FAIL" };
    let text = format!("{}: Test {number}: {name}: {result}\n", caller.name);
    match print(text) {
        Ok(()) => Ended::Status(ExitStatus::SUCCESS),
        Err(error) => error.into(),
    }
}

/// True if errors of the system have texts without their numbers.
fn errors_have_texts() -> bool {
    (1..100).all(|number| {
        let text = plain(&io::Error::from_raw_os_error(number));
        !text.is_empty() && !text.contains("os error")
    })
}

/// True if the words of a local command get their values.
fn placeholders_are_replaced() -> bool {
    let words = ["host=%h", "user=%u", "n=%n"].map(OsString::from);
    let values = TemplateValues {
        host: "foo0",
        label: "foo0",
        port: None,
        user: "foouser",
        rank: 0,
    };
    let filled = Template::new(&words).map(|template| template.fill(values));
    filled.is_ok_and(|words| words == ["host=foo0", "user=foouser", "n=0"])
}
