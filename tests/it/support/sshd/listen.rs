//! Scripted servers on loopback, with one thread for each connection.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use openssl::base64::encode_block;

use super::{HostKey, Seen, Talk};

/// Time after which an idle connection ends, so that its thread ends soon after the test.
const IDLE: Duration = Duration::from_secs(60);

/// A server on a port of its own, for as long as the test runs.
pub(crate) struct Sshd {
    /// Port of the server on 127.0.0.1.
    pub(crate) port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Sshd {
    /// A server with this key that plays a script on each connection. A script fails if its client disconnects. After
    /// the script, the connection stays open until the client closes it.
    pub(crate) fn start(
        key: HostKey,
        script: impl Fn(&mut Talk) -> io::Result<()> + Send + Sync + 'static,
    ) -> Sshd {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (noted, script) = (Arc::clone(&seen), Arc::new(script));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (key, seen, script) = (key.clone(), Arc::clone(&noted), Arc::clone(&script));
                std::thread::spawn(move || play(stream, key, seen, &*script));
            }
        });
        Sshd { port, seen }
    }

    /// Events up to now.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// The line of known_hosts with this key for this server. The key may be that of another server.
    pub(crate) fn known_as(&self, key: &HostKey) -> String {
        known_hosts_line(self.port, key)
    }
}

/// The line of known_hosts that gives the server at a port of 127.0.0.1 a key.
pub(crate) fn known_hosts_line(port: u16, key: &HostKey) -> String {
    let blob = encode_block(&key.public());
    format!("[127.0.0.1]:{port} ssh-ed25519 {blob}\n")
}

fn play(
    stream: TcpStream,
    key: HostKey,
    seen: Arc<Mutex<Seen>>,
    script: &dyn Fn(&mut Talk) -> io::Result<()>,
) {
    stream.set_read_timeout(Some(IDLE)).unwrap();
    stream.set_write_timeout(Some(IDLE)).unwrap();
    stream.set_nodelay(true).unwrap();
    seen.lock().unwrap().connections += 1;
    let mut talk = Talk::new(Box::new(stream), key, seen);
    // An error means that the client has disconnected, which is expected. The test checks the client's messages.
    let _ = script(&mut talk);
    talk.listen();
}
