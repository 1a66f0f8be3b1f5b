//! Traffic that runs while something happens, and knows afterwards whether anything was lost.

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Container, Namespace, Process, eventually};

/// Pings at 100 packets a second.
#[derive(Debug)]
pub struct Pings {
    process: Process,
}

impl Pings {
    /// Begins to send so many.
    pub fn start(directory: &Path, from: &Container, to: IpAddr, count: u32) -> Self {
        let log = directory.join(format!("ping-{}-{to}.log", from.name()));
        let (count, to) = (count.to_string(), to.to_string());
        let arguments = ["-n", "-q", "-i", "0.01", "-W", "1", "-c", &count, &to];
        Self { process: from.namespace().spawn(log, "ping", &arguments) }
    }

    /// Whether they are still being sent.
    pub fn are_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Waits for the last, and says how many were never answered.
    #[track_caller]
    pub fn lost(mut self) -> u32 {
        eventually("the pings are sent", || match self.process.is_running() {
            true => Err(self.process.said()),
            false => Ok(()),
        });
        let said = self.process.said();
        let line = said.lines().find(|line| line.contains("packets transmitted")).unwrap_or_else(|| panic!("{said}"));
        let mut numbers = line.split(' ').filter_map(|word| word.parse::<u32>().ok());
        let (sent, received) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        assert!(sent > 0, "{said}");
        sent - received
    }
}

/// The wait between two messages of a [`Flow`]: enough for a rate that any stall shows in, little enough for two cores.
const PACE: Duration = Duration::from_millis(2);

/// How long an echo may stay away: longer than a retransmission after a few lost segments.
const ECHO: Duration = Duration::from_secs(8);

/// An open TCP connection over which messages go to and fro all the time.
#[derive(Debug)]
pub struct Flow {
    echoes: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    client: Option<JoinHandle<std::io::Result<()>>>,
}

impl Flow {
    /// Opens one.
    #[track_caller]
    pub fn open(from: &impl AsRef<Namespace>, to: &impl AsRef<Namespace>, address: IpAddr, port: u16) -> Self {
        Self::by(from, to, (address, port), port)
    }

    /// Opens one by an address and port that lead to this port of the other end.
    #[track_caller]
    pub fn by(
        from: &impl AsRef<Namespace>,
        to: &impl AsRef<Namespace>,
        (address, dialled): (IpAddr, u16),
        port: u16,
    ) -> Self {
        let listener = to.as_ref().listen(port);
        let stream = eventually("a TCP connection comes about", || {
            from.as_ref().connect(address, dialled).map_err(|error| error.to_string())
        });
        std::thread::spawn(move || echo(&listener));
        let (echoes, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stop) = (echoes.clone(), is_over.clone());
        let client = std::thread::spawn(move || converse(stream, &count, &stop));
        Self { echoes, is_over, client: Some(client) }
    }

    /// Waits until messages still come back.
    #[track_caller]
    pub fn goes_on(&self) {
        let before = self.echoes.load(Ordering::Relaxed);
        eventually("the TCP flow goes on", || match self.echoes.load(Ordering::Relaxed) {
            now if now > before + 10 => Ok(()),
            now => Err(format!("{} messages came back, {now} in all", now - before)),
        });
    }

    /// Messages that came back so far.
    pub fn echoes(&self) -> u64 {
        self.echoes.load(Ordering::Relaxed)
    }

    /// Ends it; an error tells how it broke before.
    pub fn end(mut self) -> std::io::Result<()> {
        self.is_over.store(true, Ordering::Relaxed);
        let client = self.client.take().expect("a flow is ended once");
        client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// What one side sends to another that only counts: a TCP stream that its server writes, or datagrams that come back.
#[derive(Debug, Default)]
pub struct Talk {
    heard: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Talk {
    /// A TCP connection over which the server talks and the client is silent.
    #[track_caller]
    pub fn stream(client: &impl AsRef<Namespace>, server: &impl AsRef<Namespace>, address: IpAddr, port: u16) -> Self {
        let listener = server.as_ref().listen(port);
        let mut stream = eventually("a TCP connection comes about", || {
            client.as_ref().connect(address, port).map_err(|error| error.to_string())
        });
        let talk = Self::default();
        let (heard, stop) = (talk.heard.clone(), talk.is_over.clone());
        std::thread::spawn(move || stream_out(&listener, &stop));
        std::thread::spawn(move || {
            let mut message = [0; 64];
            while stream.read_exact(&mut message).is_ok() {
                heard.fetch_add(1, Ordering::Relaxed);
            }
        });
        talk
    }

    /// Datagrams of one port to one other, each of which comes back.
    pub fn datagrams(
        client: &impl AsRef<Namespace>,
        server: &impl AsRef<Namespace>,
        address: IpAddr,
        port: u16,
    ) -> Self {
        let any = if address.is_ipv4() { "0.0.0.0" } else { "::" };
        let bound = |of: &Namespace, port: u16| {
            let socket = of.within(|| UdpSocket::bind((any, port))).expect("the port is free");
            socket.set_read_timeout(Some(10 * PACE)).expect("a timeout can be set");
            socket
        };
        let (near, far) = (bound(client.as_ref(), 0), bound(server.as_ref(), port));
        let talk = Self::default();
        let (heard, stop) = (talk.heard.clone(), talk.is_over.clone());
        std::thread::spawn(move || send_back(&far, &stop));
        let (stop, to) = (talk.is_over.clone(), (address, port));
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let _ = near.send_to(&[7; 64], to); // refused where nobody listens any more
                heard.fetch_add(u64::from(near.recv(&mut [0; 64]).is_ok()), Ordering::Relaxed);
                std::thread::sleep(PACE);
            }
        });
        talk
    }

    /// Messages heard so far.
    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    /// Waits until more is heard.
    #[track_caller]
    pub fn goes_on(&self) {
        let before = self.heard();
        eventually("something is heard", || if self.heard() > before + 10 { Ok(()) } else { Err("no".to_owned()) });
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Says that it is over when dropped: whoever works until then in a thread that is waited for ends also when something else fails.
#[derive(Debug)]
pub struct End<'o>(pub &'o AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn stream_out(listener: &TcpListener, is_over: &AtomicBool) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    stream.set_nodelay(true)?;
    while !is_over.load(Ordering::Relaxed) {
        stream.write_all(&[7; 64])?;
        std::thread::sleep(PACE);
    }
    Ok(())
}

fn send_back(socket: &UdpSocket, is_over: &AtomicBool) {
    let mut message = [0; 64];
    while !is_over.load(Ordering::Relaxed) {
        if let Ok((length, from)) = socket.recv_from(&mut message) {
            let _ = socket.send_to(&message[..length], from);
        }
    }
}

fn echo(listener: &TcpListener) -> std::io::Result<()> {
    let (mut stream, _) = listener.accept()?;
    let mut message = [0; 64];
    loop {
        stream.read_exact(&mut message)?;
        stream.write_all(&message)?;
    }
}

fn converse(mut stream: TcpStream, echoes: &AtomicU64, is_over: &AtomicBool) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(ECHO))?;
    let mut message = [7; 64];
    while !is_over.load(Ordering::Relaxed) {
        stream.write_all(&message)?;
        stream.read_exact(&mut message)?;
        echoes.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PACE);
    }
    Ok(())
}
