//! The door of an agent: the socket of the one on this host, or by TLS to any other.
//!
//! In: the options that all verbs have. Out: an open channel, or why there is none.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use crate::problem::{Exit, Problem, with_causes};

/// How long a server may take to be reached.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where to ask, as people say it.
#[derive(Debug, clap::Args)]
pub(crate) struct Where {
    /// Socket of the agent on this host [env: POPLIN_SOCKET] [default: /run/poplin/api.sock].
    #[arg(long, global = true, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Another host's agent, such as https://192.0.2.11:9470; asks for --ca, --cert and --key [env: POPLIN_SERVER].
    #[arg(long, global = true, value_name = "URL")]
    server: Option<String>,
    /// PEM file of those who may vouch for the server.
    #[arg(long, global = true, env = "POPLIN_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// PEM file of the certificate to show it.
    #[arg(long, global = true, env = "POPLIN_CERT", value_name = "FILE")]
    cert: Option<PathBuf>,
    /// PEM file of its key.
    #[arg(long, global = true, env = "POPLIN_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
}

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Socket(PathBuf),
    Server(Server),
}

/// A server and how to be known to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    url: String,
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Where {
    pub(crate) fn door(self) -> Result<Door, Problem> {
        self.chosen(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// What stands on the command line wins over the environment, also where the one names a socket and the other a server.
    fn chosen(self, environment: impl Fn(&str) -> Option<String>) -> Result<Door, Problem> {
        let url = match (self.socket, self.server) {
            (Some(_), Some(_)) => {
                let problem = Problem::usage("--socket and --server name two agents");
                return Err(problem.advice("--socket is the one of this host, --server any by TLS; give one of them"));
            }
            (Some(socket), None) => return Ok(Door::Socket(socket)),
            (None, Some(url)) => url,
            (None, None) => match environment("POPLIN_SERVER") {
                Some(url) => url,
                None => {
                    let socket =
                        environment("POPLIN_SOCKET").unwrap_or_else(|| poplin_proto::DEFAULT_SOCKET.to_owned());
                    return Ok(Door::Socket(socket.into()));
                }
            },
        };
        if !url.starts_with("https://") {
            return Err(Problem::usage(format!("{url:?} is no server; write https://HOST:PORT")));
        }
        match (self.ca, self.cert, self.key) {
            (Some(ca), Some(cert), Some(key)) => Ok(Door::Server(Server { url, ca, cert, key })),
            _ => {
                let problem = Problem::usage("--server asks for --ca, --cert and --key");
                Err(problem.advice("each may also stand in the environment: POPLIN_CA, POPLIN_CERT, POPLIN_KEY"))
            }
        }
    }
}

impl Door {
    /// A channel, which reconnects by itself.
    pub(crate) async fn open(&self) -> Result<Channel, Problem> {
        match self {
            Self::Socket(path) => Ok(poplin_proto::connect(path).await?),
            Self::Server(server) => server.open().await,
        }
    }

    /// The same door, for a verb that works on this host itself.
    pub(crate) fn here(&self, verb: &str) -> Result<&Self, Problem> {
        self.socket(verb).map(|_| self)
    }

    /// The socket, for a verb that works on this host itself.
    pub(crate) fn socket(&self, verb: &str) -> Result<&Path, Problem> {
        match self {
            Self::Socket(path) => Ok(path),
            Self::Server(server) => {
                let problem = Problem::usage(format!("{verb} works on the host it is run on, not by --server"));
                Err(problem.advice(format!("run it on {}", server.url)))
            }
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => path.display().fmt(f),
            Self::Server(server) => f.write_str(&server.url),
        }
    }
}

impl Server {
    async fn open(&self) -> Result<Channel, Problem> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(read("ca", &self.ca)?))
            .identity(Identity::from_pem(read("cert", &self.cert)?, read("key", &self.key)?));
        let endpoint = Endpoint::from_shared(self.url.clone()).and_then(|endpoint| endpoint.tls_config(tls));
        let endpoint = endpoint.map_err(|error| {
            let message = format!("cannot ask {}: {}", self.url, with_causes(&error));
            Problem::usage(message).advice("write https://HOST:PORT, and see that --ca, --cert and --key are PEM files")
        })?;
        endpoint.connect_timeout(PATIENCE).connect().await.map_err(|error| unreachable(&self.url, &error))
    }
}

fn unreachable(url: &str, error: &tonic::transport::Error) -> Problem {
    let story = with_causes(error);
    Problem::new(exit_of(&story), format!("cannot reach the agent at {url}: {story}")).advice(advice(&story))
}

/// How a run ends whose connection failed: an alert is the server's own no.
pub(crate) fn exit_of(story: &str) -> Exit {
    if story.contains("received fatal alert") { Exit::Denied } else { Exit::Unreachable }
}

/// What to try when a connection failed so.
pub(crate) fn advice(story: &str) -> &'static str {
    let known = [
        ("alert: UnknownCA", "show a certificate of the authority that api.ca of that poplind names"),
        ("alert: CertificateRequired", "show a certificate of the authority that api.ca of that poplind names"),
        ("alert: CertificateRevoked", "its authority took the certificate back; show another"),
        ("alert: CertificateExpired", "renew the certificate that --cert names"),
        (
            "received fatal alert",
            "see that the certificate --cert names is one for clients, and of the authority the server knows",
        ),
        ("UnknownIssuer", "--ca names who vouched for another server; take the authority of this one"),
        ("not valid for name", "dial the server by a name or address that its certificate has"),
        ("invalid peer certificate: Expired", "the server's certificate has ended; renew it there"),
        ("invalid peer certificate", "see that --ca names the authority of this server"),
    ];
    let found = known.into_iter().find(|(words, _)| story.contains(words));
    found.map_or("see that poplind runs there with api.listen, and that no firewall is between", |(_, advice)| advice)
}

fn read(option: &str, path: &Path) -> Result<Vec<u8>, Problem> {
    std::fs::read(path).map_err(|error| Problem::usage(format!("--{option}: cannot read {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(socket: Option<&str>, server: Option<&str>, is_known: bool) -> Where {
        let file = is_known.then(|| PathBuf::from("x.pem"));
        let server = server.map(str::to_owned);
        Where { socket: socket.map(PathBuf::from), server, ca: file.clone(), cert: file.clone(), key: file }
    }

    fn asked(server: Option<&str>, is_known: bool) -> Result<Door, Problem> {
        at(None, server, is_known).chosen(|_| None)
    }

    #[test]
    fn what_stands_on_the_command_line_wins_over_the_environment() {
        let environment = |name: &str| match name {
            "POPLIN_SERVER" => Some("https://h2:9470".to_owned()),
            _ => Some("other.sock".to_owned()),
        };

        assert_eq!(at(Some("api.sock"), None, true).chosen(environment).unwrap(), Door::Socket("api.sock".into()));
        let named = at(None, Some("https://h1:9470"), true).chosen(environment).unwrap();
        assert_eq!(named.to_string(), "https://h1:9470");
        assert_eq!(at(None, None, true).chosen(environment).unwrap().to_string(), "https://h2:9470");
        let both = at(Some("api.sock"), Some("https://h1:9470"), true).chosen(environment);
        assert_eq!(both.unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn a_server_is_asked_by_tls_with_a_certificate_or_not_at_all() {
        assert_eq!(asked(None, true).unwrap(), Door::Socket(poplin_proto::DEFAULT_SOCKET.into()));
        assert!(matches!(asked(Some("https://h1:9470"), true), Ok(Door::Server(_))));
        for (url, is_known) in [("https://h1:9470", false), ("http://h1:9470", true), ("h1", true)] {
            assert_eq!(asked(Some(url), is_known).unwrap_err().exit(), Exit::Usage, "{url}");
        }
    }

    #[test]
    fn what_works_on_a_host_is_not_done_on_another() {
        let door = asked(Some("https://h1:9470"), true).unwrap();
        let (message, advice) = door.here("attach").unwrap_err().words();
        assert_eq!(message, "attach works on the host it is run on, not by --server");
        assert_eq!(advice, "run it on https://h1:9470");
    }
}
