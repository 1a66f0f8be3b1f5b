//! Who asks: this bench again, as a process in the namespace of whoever it asks for.

use std::collections::HashMap;
use std::io::{BufRead as _, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

/// After this a question has no answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What one process asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    server: SocketAddr,
    /// With a star in place of what is new each time.
    name: String,
    count: usize,
    /// Questions under way at once.
    window: usize,
    /// Before the next question is asked.
    pause: Duration,
}

/// What one process heard.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    pub(crate) times: Vec<Duration>,
    pub(crate) lost: usize,
    /// Since 1970.
    pub(crate) began: Duration,
    pub(crate) ended: Duration,
}

impl Task {
    /// One question after the other, a thousand a second at most.
    pub(crate) fn alone(server: SocketAddr, name: &str, count: usize) -> Self {
        Self { server, name: name.to_owned(), count, window: 1, pause: Duration::from_millis(1) }
    }

    /// As fast as it goes.
    pub(crate) fn together(server: SocketAddr, name: &str, count: usize) -> Self {
        Self { server, name: name.to_owned(), count, window: 16, pause: Duration::ZERO }
    }

    pub(crate) fn parse(arguments: &[String]) -> Option<Self> {
        let [first, server, name, count, window, pause] = arguments else { return None };
        let number = |text: &str| text.parse().unwrap();
        (first == "ask").then(|| Self {
            server: server.parse().unwrap(),
            name: name.clone(),
            count: number(count),
            window: number(window),
            pause: Duration::from_micros(pause.parse().unwrap()),
        })
    }

    pub(crate) fn arguments(&self) -> [String; 6] {
        let pause = self.pause.as_micros().to_string();
        [
            "ask".into(),
            self.server.to_string(),
            self.name.clone(),
            self.count.to_string(),
            self.window.to_string(),
            pause,
        ]
    }
}

/// Asks, and tells the times, one a line, in nanoseconds; a dash for a question without an answer.
pub(crate) fn work(task: &Task) {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect(task.server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut told = format!("began {}\n", since_1970().as_nanos());
    let mut asker = Asker { socket, asked: HashMap::new(), next: 0 };
    while asker.next < task.count || !asker.asked.is_empty() {
        while asker.next < task.count && asker.asked.len() < task.window {
            std::thread::sleep(task.pause);
            asker.ask(&task.name);
        }
        match asker.hear() {
            Some(time) => told += &format!("{}\n", time.as_nanos()),
            None => told += &"-\n".repeat(asker.asked.drain().count()),
        }
    }
    told += &format!("ended {}\n", since_1970().as_nanos());
    std::io::stdout().write_all(told.as_bytes()).unwrap();
}

struct Asker {
    socket: UdpSocket,
    asked: HashMap<u16, Instant>,
    next: usize,
}

impl Asker {
    fn ask(&mut self, name: &str) {
        let id = u16::try_from(self.next % 0x1_0000).unwrap();
        let unique = format!("{}-{}", std::process::id(), self.next);
        let mut question = Message::query();
        question.metadata.id = id;
        question.metadata.recursion_desired = true;
        question.add_query(Query::query(Name::from_ascii(name.replace('*', &unique)).unwrap(), RecordType::A));
        let octets = question.to_vec().unwrap();
        self.asked.insert(id, Instant::now());
        self.next += 1;
        self.socket.send(&octets).unwrap();
    }

    /// How long the next answer took; `None` if none comes.
    fn hear(&mut self) -> Option<Duration> {
        let mut buffer = [0; 1500];
        loop {
            let count = self.socket.recv(&mut buffer).ok()?;
            let now = Instant::now();
            // Answered, without an error, with at least one record: RFC 1035 §4.1.1.
            let is_good = count > 12 && buffer[3] & 15 == 0 && buffer[6..8] != [0, 0];
            if let Some(at) = self.asked.remove(&u16::from_be_bytes([buffer[0], buffer[1]])) {
                assert!(is_good, "the answer is none: {:x?}", &buffer[..count]);
                return Some(now - at);
            }
        }
    }
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

impl Heard {
    pub(crate) fn read(command: Command) -> Self {
        Self::read_all(vec![command]).remove(0)
    }

    /// All of them at once.
    pub(crate) fn read_all(commands: Vec<Command>) -> Vec<Self> {
        let start = |mut command: Command| command.stdout(Stdio::piped()).spawn().unwrap();
        let children: Vec<_> = commands.into_iter().map(start).collect();
        let outputs = children.into_iter().map(|child| child.wait_with_output().unwrap());
        outputs.map(|output| Self::parse(&output.stdout)).collect()
    }

    fn parse(text: &[u8]) -> Self {
        let mut heard = Self::default();
        let nanoseconds = |text: &str| Duration::from_nanos(text.parse().unwrap());
        for line in text.lines().map(Result::unwrap) {
            match line.split_once(' ') {
                Some(("began", time)) => heard.began = nanoseconds(time),
                Some(("ended", time)) => heard.ended = nanoseconds(time),
                _ if line == "-" => heard.lost += 1,
                _ => heard.times.push(nanoseconds(&line)),
            }
        }
        assert!(!heard.ended.is_zero(), "an asker ended early");
        heard
    }
}
