//! A client of raw blocking sockets.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::time::Duration;

use fake_rshd::{CallbackPort, Daemons, address};
use socket2::SockRef;

pub(crate) const TOKEN: &str = "sesame";
/// Maximum time to wait for an event of a test.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// The client's side of one session.
pub(crate) struct Session {
    pub(crate) main: TcpStream,
    pub(crate) callback: Option<TcpStream>,
}

pub(crate) fn connect(daemons: &Daemons, address: Ipv4Addr) -> TcpStream {
    let main = TcpStream::connect(SocketAddrV4::new(address, daemons.port())).unwrap();
    main.set_read_timeout(Some(DEADLINE)).unwrap();
    main
}

impl Session {
    /// Sends a request without a callback.
    pub(crate) fn merged(daemons: &Daemons, index: u32, request: &[u8]) -> Session {
        let mut main = connect(daemons, address(index));
        main.write_all(request).unwrap();
        Session {
            main,
            callback: None,
        }
    }

    /// Sends a request for this command, and accepts the callback.
    pub(crate) fn separate(daemons: &Daemons, index: u32, command: &str) -> Session {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let request = format!("{port}\0{TOKEN}\0you\0{command}\0");
        let mut session = Session::merged(daemons, index, request.as_bytes());
        let (callback, from) = listener.accept().unwrap();
        callback.set_read_timeout(Some(DEADLINE)).unwrap();
        assert_eq!(from.ip(), address(index));
        let reserved = daemons.callback_port() == CallbackPort::Reserved;
        assert_eq!(reserved, (512..1024).contains(&from.port()));
        session.callback = Some(callback);
        session
    }

    /// Reads the first line after the status byte.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            self.main.read_exact(&mut byte).unwrap();
            line.push(byte[0]);
        }
        assert_eq!(line[0], 0, "status in {line:?}");
        String::from_utf8(line[1..line.len() - 1].to_vec()).unwrap()
    }

    /// Reads both connections to their end.
    pub(crate) fn finish(mut self) -> (Vec<u8>, Vec<u8>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        self.main.read_to_end(&mut out).unwrap();
        if let Some(mut stream) = self.callback.take() {
            stream.read_to_end(&mut err).unwrap();
        }
        (out, err)
    }

    /// Resets both connections.
    pub(crate) fn reset(self) {
        for stream in [Some(self.main), self.callback].into_iter().flatten() {
            SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        }
    }
}
