//! A relay in front of a server that gives so many bytes a second in all, as a mirror far away
//! does: `relay LISTEN TARGET BYTES_PER_SECOND` runs until it is killed.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use smol::Async;
use smol::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What one connection may send before the next has its turn.
const TURN: usize = 16 * 1024;
/// How far the rate may be caught up with after a pause.
const BURST: Duration = Duration::from_millis(10);

/// The rate that all connections share.
#[derive(Debug)]
struct Rate {
    bytes_per_second: f64,
    /// When the bytes that were let through so far are due.
    due: Mutex<Instant>,
}

impl Rate {
    async fn wait_for(&self, bytes: usize) {
        let at = {
            let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
            let earliest = Instant::now().checked_sub(BURST).unwrap_or(*due);
            let at = (*due).max(earliest);
            *due = at + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second);
            at
        };
        smol::Timer::at(at).await;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "relay LISTEN TARGET BYTES_PER_SECOND, e.g. relay 127.0.0.1:8080 127.0.0.1:80 12500000";
    let listen: SocketAddr = arguments.next().ok_or(usage)?.parse()?;
    let target: SocketAddr = arguments.next().ok_or(usage)?.parse()?;
    let bytes_per_second = arguments.next().ok_or(usage)?.parse()?;
    let rate = Arc::new(Rate { bytes_per_second, due: Mutex::new(Instant::now()) });
    smol::block_on(async {
        let listener = Async::<TcpListener>::bind(listen)?;
        loop {
            let (client, _) = listener.accept().await?;
            let rate = Arc::clone(&rate);
            smol::spawn(async move {
                // A connection that breaks is the business of its ends.
                let _ = serve(client, target, &rate).await;
            })
            .detach();
        }
    })
}

async fn serve(client: Async<TcpStream>, target: SocketAddr, rate: &Rate) -> io::Result<()> {
    let server = Async::<TcpStream>::connect(target).await?;
    for socket in [&client, &server] {
        socket.get_ref().set_nodelay(true)?;
    }
    let asked = async {
        let copied = smol::io::copy(&client, &mut &server).await;
        let _ = server.get_ref().shutdown(Shutdown::Write);
        copied.map(drop)
    };
    let answered = async {
        let mut buffer = vec![0; TURN];
        loop {
            let read = (&server).read(&mut buffer).await?;
            if read == 0 {
                break client.get_ref().shutdown(Shutdown::Both);
            }
            rate.wait_for(read).await;
            (&client).write_all(buffer.get(..read).unwrap_or_default()).await?;
        }
    };
    smol::future::try_zip(asked, answered).await.map(drop)
}
