//! The server's side of a session after the key exchange: login, one channel, one command.

use std::io;

use super::wire::Fields;
use super::{Message, Talk, kind};

/// The output of the command on an honest server, and the status with which it ends.
pub(crate) const OUTPUT: &str = "forty-two\n";
pub(crate) const STATUS: u32 = 7;

/// The server's number for the channel.
const OWN_CHANNEL: u32 = 5;

/// Points in a session at which a script can act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Keys are agreed. The client has not requested a service.
    Keyed,
    /// The service is granted. The client has not requested a login.
    Served,
    /// The client has requested a login with a password, and has no answer.
    Claimed,
    /// The login was accepted.
    LoggedIn,
    /// A channel was requested and is not open yet.
    Opening,
    /// The channel is open. No command was requested.
    Open,
    /// The command was requested and has not started.
    Asked,
    /// The command has been started.
    Running,
    /// The output, the status and the end of the output have been sent.
    Ended,
    /// The channel is closed on this side.
    Closed,
}

impl Talk {
    /// A session from the agreed keys to the client's end of the connection. `between` is called at each stage.
    pub(crate) fn serve(
        &mut self,
        mut between: impl FnMut(&mut Talk, Stage) -> io::Result<()>,
    ) -> io::Result<()> {
        between(self, Stage::Keyed)?;
        self.until(kind::SERVICE_REQUEST)?;
        self.send(&service_accept())?;
        between(self, Stage::Served)?;
        while login_method(&self.until(kind::USERAUTH_REQUEST)?)? != "password" {
            self.send(&userauth_failure())?;
        }
        between(self, Stage::Claimed)?;
        self.send(&[kind::USERAUTH_SUCCESS])?;
        self.serve_logged_in(&mut between)
    }

    /// Serves the rest of a session after the login.
    pub(crate) fn serve_logged_in(
        &mut self,
        between: &mut dyn FnMut(&mut Talk, Stage) -> io::Result<()>,
    ) -> io::Result<()> {
        between(self, Stage::LoggedIn)?;
        let request = self.until(kind::CHANNEL_OPEN)?;
        let mut fields = Fields(&request[1..]);
        fields.text()?;
        self.channel = fields.number()?;
        self.window = fields.number()?;
        between(self, Stage::Opening)?;
        self.send(&confirmation(self.channel))?;
        between(self, Stage::Open)?;
        while !self.is_exec()? {}
        between(self, Stage::Asked)?;
        self.send(&to(kind::CHANNEL_SUCCESS, self.channel).done())?;
        between(self, Stage::Running)?;
        self.send(&data(self.channel, OUTPUT))?;
        self.send(&exit_status(self.channel, STATUS))?;
        self.send(&eof(self.channel))?;
        between(self, Stage::Ended)?;
        self.send(&to(kind::CHANNEL_CLOSE, self.channel).done())?;
        between(self, Stage::Closed)?;
        self.listen();
        Ok(())
    }

    /// Waits for a request on the channel. Returns true for the command, which is not answered yet. Answers other
    /// requests and returns false.
    fn is_exec(&mut self) -> io::Result<bool> {
        let request = self.until(kind::CHANNEL_REQUEST)?;
        let mut fields = Fields(&request[5..]);
        let is_exec = fields.text()? == b"exec";
        let wants_answer = fields.byte()? != 0;
        if is_exec {
            let line = String::from_utf8_lossy(fields.text()?).into_owned();
            self.seen.lock().unwrap().command_lines.push(line);
        } else if wants_answer {
            self.send(&to(kind::CHANNEL_FAILURE, self.channel).done())?;
        }
        Ok(is_exec)
    }

    /// Writes to both streams of the command, within the client's window, until the client disconnects.
    pub(crate) fn write_without_end(&mut self) -> io::Result<()> {
        let text = "x".repeat(63) + "\n";
        let text = text.repeat(256);
        let both = u32::try_from(2 * text.len()).unwrap();
        let messages = [data(self.channel, &text), extended(self.channel, 1, &text)];
        let mut window = self.window;
        loop {
            while window >= both {
                self.send_together(&messages)?;
                window -= both;
            }
            let adjust = self.until(kind::CHANNEL_WINDOW_ADJUST)?;
            let mut fields = Fields(&adjust[1..]);
            fields.number()?;
            window = window.saturating_add(fields.number()?);
        }
    }

    /// Serves a whole connection by the protocol.
    pub(crate) fn honest(&mut self) -> io::Result<()> {
        self.greet()?;
        self.exchange(&super::METHODS)?;
        self.serve(|_, _| Ok(()))
    }
}

/// The authentication method of a login request.
pub(super) fn login_method(request: &[u8]) -> io::Result<String> {
    let mut fields = Fields(request.get(1..).unwrap_or_default());
    fields.text()?;
    fields.text()?;
    Ok(String::from_utf8_lossy(fields.text()?).into_owned())
}

/// A message for the channel with this number at the client.
pub(crate) fn to(kind: u8, channel: u32) -> Message {
    Message::new(kind).number(channel)
}

/// SSH_MSG_SERVICE_ACCEPT for the login service.
pub(crate) fn service_accept() -> Vec<u8> {
    Message::new(kind::SERVICE_ACCEPT)
        .text("ssh-userauth")
        .done()
}

/// SSH_MSG_USERAUTH_FAILURE. The client may try a password.
pub(crate) fn userauth_failure() -> Vec<u8> {
    Message::new(kind::USERAUTH_FAILURE)
        .text("password")
        .byte(0)
        .done()
}

/// SSH_MSG_CHANNEL_OPEN_CONFIRMATION, with a window of two megabytes.
pub(crate) fn confirmation(channel: u32) -> Vec<u8> {
    to(kind::CHANNEL_OPEN_CONFIRMATION, channel)
        .number(OWN_CHANNEL)
        .number(2 * 1024 * 1024)
        .number(32 * 1024)
        .done()
}

/// Standard output of the command.
pub(crate) fn data(channel: u32, text: impl AsRef<[u8]>) -> Vec<u8> {
    to(kind::CHANNEL_DATA, channel).text(text).done()
}

/// Output of another type than standard output.
pub(crate) fn extended(channel: u32, kind: u32, text: impl AsRef<[u8]>) -> Vec<u8> {
    to(kind::CHANNEL_EXTENDED_DATA, channel)
        .number(kind)
        .text(text)
        .done()
}

/// A request about the channel, without the fields of its kind.
pub(crate) fn request(channel: u32, name: &str, wants_reply: bool) -> Message {
    to(kind::CHANNEL_REQUEST, channel)
        .text(name)
        .byte(wants_reply.into())
}

/// The status with which the command has ended.
pub(crate) fn exit_status(channel: u32, status: u32) -> Vec<u8> {
    request(channel, "exit-status", false).number(status).done()
}

/// The end of the output.
pub(crate) fn eof(channel: u32) -> Vec<u8> {
    to(kind::CHANNEL_EOF, channel).done()
}
