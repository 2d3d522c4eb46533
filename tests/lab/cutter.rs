//! A proxy before a server. It cuts each connection after a number of bytes from the server. The called address gives
//! that number: 127.x.a.b means a × 250 + b steps of STEP bytes. With many addresses, connections are cut in every
//! phase of the protocol. Used by the lab's test cases.
//!
//! usage: `cutter PORT TARGET STEP reset|close|stall|flip`; `flip` changes a byte there and goes on

use std::env;
use std::error::Error;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

#[derive(Clone, Copy)]
enum How {
    Reset,
    Close,
    Stall,
    Flip,
}

fn main() -> Result<(), Box<dyn Error>> {
    let usage = "usage: cutter PORT TARGET STEP reset|close|stall|flip";
    let mut args = env::args().skip(1);
    let mut next = || args.next().ok_or(usage);
    let port: u16 = next()?.parse()?;
    let target = next()?;
    let step: usize = next()?.parse()?;
    let how = match next()?.as_str() {
        "reset" => How::Reset,
        "close" => How::Close,
        "stall" => How::Stall,
        "flip" => How::Flip,
        _ => return Err(usage.into()),
    };
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
    for client in listener.incoming() {
        let (client, target) = (client?, target.clone());
        thread::spawn(move || {
            // An error means that the connection has ended already. Then there is nothing to cut.
            let _ = carry(client, &target, step, how);
        });
    }
    Ok(())
}

fn carry(mut client: TcpStream, target: &str, step: usize, how: How) -> std::io::Result<()> {
    let IpAddr::V4(address) = client.local_addr()?.ip() else {
        return Ok(());
    };
    let [_, _, a, b] = address.octets();
    let most = (usize::from(a) * 250 + usize::from(b)) * step;
    let mut server = TcpStream::connect(target)?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        // The copy ends with the connection.
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut passed = 0;
    let mut buffer = [0; 4096];
    loop {
        let limit = if passed < most {
            buffer.len().min(most - passed)
        } else {
            buffer.len()
        };
        let n = server.read(&mut buffer[..limit])?;
        if n == 0 {
            return client.shutdown(Shutdown::Write);
        }
        let at_cut = passed < most && passed + n >= most;
        passed += n;
        if !at_cut {
            client.write_all(&buffer[..n])?;
            continue;
        }
        match how {
            How::Flip => {
                buffer[n - 1] ^= 0x20;
                client.write_all(&buffer[..n])?;
            }
            How::Stall => {
                client.write_all(&buffer[..n])?;
                thread::sleep(Duration::from_secs(60));
            }
            How::Reset | How::Close => {
                client.write_all(&buffer[..n])?;
                if matches!(how, How::Reset) {
                    SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
                    // The other thread then drops the connection, and closing resets it.
                    client.shutdown(Shutdown::Read)?;
                } else {
                    client.shutdown(Shutdown::Both)?;
                }
                server.shutdown(Shutdown::Both)?;
                return Ok(());
            }
        }
    }
}
