//! The test bed: a host with an agent and a dockerd, and a router with dnsmasq; whoever asks is a namespace behind one of them.

use std::net::SocketAddr;
use std::process::Command;

use poplin_lab::{Agent, Container, Docker, Lab, Namespace, Process, until};

use crate::asker::Task;

/// What everybody knows by himself.
pub(crate) const INSIDE: &str = "db.poplin.internal.";

/// What everybody asks another resolver for: one name, and one that is new each time.
pub(crate) const OUTSIDE: &str = "www.example.test.";
pub(crate) const FRESH: &str = "n*.example.test.";

/// Where the host has its resolver: at no loopback address, as Docker's containers have one of their own.
const UPSTREAM: &str = "192.0.2.53";

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Dnsmasq,
    Poplin,
    Docker,
}

impl Who {
    pub(crate) const ALL: [Self; 3] = [Self::Dnsmasq, Self::Poplin, Self::Docker];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Dnsmasq => "dnsmasq",
            Self::Poplin => "Poplin",
            Self::Docker => "Docker's resolver",
        }
    }

    pub(crate) fn server(self) -> SocketAddr {
        let address = match self {
            Self::Dnsmasq => [192, 0, 2, 1],
            Self::Poplin => [169, 254, 1, 1],
            Self::Docker => [127, 0, 0, 11],
        };
        (address, 53).into()
    }
}

/// A bench bed; dropping it removes everything.
pub(crate) struct Bed {
    _resolvers: Vec<Process>,
    docker: Docker,
    /// Behind the agent.
    containers: Vec<Container>,
    /// Behind the router.
    plain: Vec<Namespace>,
    _agent: Agent,
    _router: Namespace,
    _lab: Lab,
}

impl Bed {
    pub(crate) fn new(crowd: usize) -> Self {
        let lab = Lab::new();
        let (host, router) = (lab.namespace("h1"), lab.namespace("router"));
        let plain: Vec<_> = (0..crowd).map(|number| beside(&lab, &router, number)).collect();
        host.run("ip", &["address", "add", &format!("{UPSTREAM}/32"), "dev", "lo"]);
        let outside = ["--address=/example.test/192.0.2.7", "--cache-size=0"];
        let inside =
            ["--host-record=db.poplin.internal,10.88.0.2", "--listen-address=192.0.2.1", "--server=127.0.0.1#5353"];
        let resolvers = vec![
            dnsmasq(&lab, &host, "outside-h1", &[&outside[..], &["--listen-address", UPSTREAM]].concat()),
            dnsmasq(
                &lab,
                &router,
                "outside-router",
                &[&outside[..], &["--listen-address=127.0.0.1", "--port=5353"]].concat(),
            ),
            dnsmasq(
                &lab,
                &router,
                "inside",
                &[&inside[..], &["--cache-size=10000", "--dns-forward-max=5000"]].concat(),
            ),
        ];

        let mut agent = Agent::new(&lab, host, "h1").with(&["--dns-upstream", UPSTREAM]);
        agent.start();
        let askers = (0..crowd).map(|number| format!("c{number}"));
        let containers = std::iter::once("db".to_owned()).chain(askers);
        let containers = containers.map(|name| attached(&lab, &agent, &name)).collect();
        Self {
            _resolvers: resolvers,
            docker: docker(&lab, &agent, crowd),
            containers,
            plain,
            _agent: agent,
            _router: router,
            _lab: lab,
        }
    }

    /// The command by which one of those who can ask somebody does.
    pub(crate) fn command(&self, who: Who, number: usize, task: &Task) -> Command {
        let program = std::env::current_exe().unwrap();
        let mut command = match who {
            Who::Dnsmasq => self.plain[number].command(&program),
            Who::Poplin => self.containers[1 + number].namespace().command(&program),
            Who::Docker => {
                let mut command = Command::new("nsenter");
                let pid = self.docker.inspect(&format!("asker{number}"))["State"]["Pid"].to_string();
                command.args(["--target", &pid, "--net"]).arg(&program);
                command
            }
        };
        command.args(task.arguments());
        command
    }
}

fn attached(lab: &Lab, agent: &Agent, name: &str) -> Container {
    let mut container = lab.container(name);
    agent.attach(&mut container, &[]);
    container
}

/// On a link of its own, with the router at 192.0.2.1.
fn beside(lab: &Lab, router: &Namespace, number: usize) -> Namespace {
    let namespace = lab.namespace(&format!("p{number}"));
    let own = format!("192.0.2.{}/32", 10 + number);
    let link = format!("p{number}");
    router.join(&link, &["192.0.2.1/32"], &namespace, "eth0", &[&own]);
    namespace.run("ip", &["route", "add", "192.0.2.1", "dev", "eth0"]);
    router.run("ip", &["route", "add", &own, "dev", &link]);
    namespace
}

fn dnsmasq(lab: &Lab, at: &Namespace, name: &str, more: &[&str]) -> Process {
    let log = lab.directory().join(format!("{name}.log"));
    let own = ["--keep-in-foreground", "--conf-file=/dev/null", "--no-hosts", "--no-resolv", "--bind-interfaces"];
    let process = at.spawn(
        log,
        "/usr/sbin/dnsmasq",
        &[&own[..], &["--user=root", "--log-facility=-", "--pid-file="], more].concat(),
    );
    until("dnsmasq serves", || process.said().contains("started"));
    process
}

/// Containers on a bridge that a user made, where Docker answers for names: one that is asked for, and those who ask.
fn docker(lab: &Lab, agent: &Agent, crowd: usize) -> Docker {
    let mut docker = Docker::new(lab, agent);
    docker.start();
    docker.run(&["network", "create", "plain"]);
    docker.sleeper("db", &["--network", "plain", "--network-alias", INSIDE.trim_end_matches('.')]);
    for number in 0..crowd {
        docker.sleeper(&format!("asker{number}"), &["--network", "plain", "--dns", UPSTREAM]);
    }
    docker
}
