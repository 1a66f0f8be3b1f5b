//! `poplin explain --offline`: the same answers without an agent, for one question or for a stream of them.
//!
//! A batch is one JSON object a line: `{"source": "web", "destination": "10.77.0.3", "traffic": "tcp/5432"}`, or with `protocol` and `port` in place
//! of `traffic`, as logs of flows have them; other fields are left alone. Each line is answered by one line, in order; a line that
//! cannot be answered is answered by `{"line": 7, "error": "…"}`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use poplin_manifest::way::Question;
use poplin_manifest::{Site, question};
use poplin_policy::index::Index;
use poplin_policy::model::PortMatch;
use poplin_policy::packet::Packet;
use poplin_policy::verdict::{Decision, Ruling};
use poplin_proto::Failure;
use poplin_proto::v1::{DirectionTrace, ExplainRequest, ExplainResponse};
use serde::{Deserialize, Serialize};

use crate::problem::{Exit, Problem};
use crate::world;

/// Where the world is, if not at the agent.
#[derive(Debug, clap::Args)]
pub(crate) struct Offline {
    /// Ask no agent: answer for the policies of -f and the endpoints of --topology.
    #[arg(long, requires = "files")]
    offline: bool,
    /// Policies and what they speak of: file, directory of .yaml, .yml and .json files, or - for stdin.
    #[arg(short = 'f', long = "file", value_name = "FILE|DIR|-", id = "files", requires = "offline")]
    files: Vec<PathBuf>,
    /// Endpoints: as `poplin get endpoints -o yaml` prints them, or kind Topology.
    #[arg(long, value_name = "FILE", requires = "offline")]
    topology: Option<PathBuf>,
    /// Answer a file of flows, one JSON object a line, or - for stdin. Exits 1 if a line could not be answered.
    #[arg(long, value_name = "FILE|-", requires = "offline", conflicts_with_all = ["source", "destination", "traffic"])]
    batch: Option<PathBuf>,
}

impl Offline {
    pub(crate) fn is_asked(&self) -> bool {
        self.offline
    }

    pub(crate) fn is_batch(&self) -> bool {
        self.batch.is_some()
    }

    /// Tells the whole story of one packet.
    pub(crate) fn answer(&self, request: &ExplainRequest) -> Result<ExplainResponse, Problem> {
        let site = self.site()?;
        let question = Question::of(&site, request).map_err(|failure| {
            let exit = if failure.code == tonic::Code::NotFound { Exit::NotFound } else { Exit::Usage };
            Problem::from(vec![failure]).exiting(exit)
        })?;
        Ok(question.answer("", None))
    }

    /// Answers every line of the batch.
    pub(crate) fn answer_batch(&self) -> Result<ExitCode, Problem> {
        let site = self.site()?;
        let index = Index::of(&site.world);
        let mut lines = BufReader::new(self.lines()?);
        let mut out = BufWriter::new(io::stdout().lock());
        let (mut text, mut number, mut answered, mut failed) = (String::new(), 0_u64, false, false);
        loop {
            text.clear();
            if lines.read_line(&mut text).map_err(|error| unreadable(&error))? == 0 {
                break;
            }
            number += 1;
            if !answered && text.trim_start().starts_with('[') {
                return Err(not_lines(number));
            }
            if !text.trim().is_empty() {
                let answer = self::answered(&site, &index, &text);
                (answered, failed) = (true, failed || answer.is_err());
                write_line(&mut out, &answer.map_err(|failure| Refusal::of(number, &failure)))?;
            }
            // Whoever asks line by line waits for each answer.
            if lines.buffer().is_empty() {
                out.flush()?;
            }
        }
        out.flush()?;
        Ok(if failed { Exit::Failed.into() } else { ExitCode::SUCCESS })
    }

    fn site(&self) -> Result<Site, Problem> {
        Site::of(&world::with_topology(&self.files, self.topology.as_ref())?).map_err(world::unusable)
    }

    fn lines(&self) -> Result<Box<dyn Read>, Problem> {
        let path = self.batch.clone().unwrap_or_default();
        if path.as_os_str() == "-" {
            return Ok(Box::new(io::stdin()));
        }
        let file = File::open(&path);
        let file =
            file.map_err(|error| Problem::new(Exit::NotFound, format!("cannot read {}: {error}", path.display())))?;
        Ok(Box::new(file))
    }
}

fn unreadable(error: &io::Error) -> Problem {
    Problem::new(Exit::Failed, format!("cannot read the flows: {error}"))
}

/// A file that begins with a list, of which each line would be an error of its own. A list further on is a bad line like any other.
fn not_lines(number: u64) -> Problem {
    let message = format!("the flows have a JSON list in line {number}, and one object a line is expected");
    Problem::usage(message).advice(format!("jq -c '.[]' makes lines of a list; a line is {LINE}"))
}

/// What a line looks like.
const LINE: &str = r#"{"source": "web", "destination": "10.77.0.3", "traffic": "tcp/5432"}"#;

/// One flow, as its line asks.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(alias = "src")]
    source: String,
    #[serde(alias = "dst")]
    destination: String,
    #[serde(default)]
    traffic: Option<String>,
    #[serde(default, alias = "proto")]
    protocol: Option<Protocol>,
    #[serde(default, alias = "destinationPort", alias = "dport")]
    port: Option<u16>,
    #[serde(default, alias = "sport")]
    source_port: Option<u16>,
}

/// A protocol by its name, or by its number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Protocol {
    Name(String),
    Number(u8),
}

/// One flow's answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    source: String,
    destination: String,
    traffic: String,
    source_address: String,
    destination_address: String,
    verdict: &'static str,
    /// The end that decides: the first that denies, or else the last that was asked.
    #[serde(flatten)]
    decided: Option<End>,
    egress: Option<End>,
    ingress: Option<End>,
    /// What hosts say on the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hosts: Vec<End>,
    /// What only a host itself can know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

/// What one end says.
#[derive(Clone, Debug, Serialize)]
struct End {
    direction: String,
    endpoint: String,
    allowed: bool,
    reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    tier: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    policy: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    rule: String,
}

impl End {
    fn of(trace: &DirectionTrace) -> Self {
        let DirectionTrace { direction, endpoint, allowed, reason, tier, policy, rule, .. } = trace.clone();
        Self { direction, endpoint, allowed, reason, tier, policy, rule }
    }
}

/// A line that cannot be answered.
#[derive(Debug, Serialize)]
struct Refusal {
    line: u64,
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Refusal {
    fn of(line: u64, failure: &Failure) -> Self {
        Self { line, error: failure.message.clone(), advice: failure.advice.clone() }
    }
}

fn answered(site: &Site, index: &Index<'_>, line: &str) -> Result<Answer, Failure> {
    let bad = |message: String| Failure::new(tonic::Code::InvalidArgument, "BAD_LINE", message);
    let unread = |error| bad(format!("not one flow as a JSON object: {error}")).advice(format!("a line is {LINE}"));
    let asked: Asked = serde_json::from_str(line).map_err(unread)?;
    let traffic = traffic(&asked).map_err(bad)?;
    let request = ExplainRequest {
        source: asked.source,
        destination: asked.destination,
        traffic,
        source_port: asked.source_port.unwrap_or_default().into(),
        compiled: false,
    };
    let question = Question::of(site, &request)?;
    let (said, notes) = said(site, index, &question);
    let decided = said.iter().find(|end| !end.allowed).or(said.last()).cloned();
    let end = |direction| said.iter().find(|end| end.direction == direction).cloned();
    let Packet { source, destination, .. } = question.packet;
    Ok(Answer {
        source: request.source,
        destination: request.destination,
        traffic: request.traffic,
        source_address: source.to_string(),
        destination_address: destination.to_string(),
        verdict: if said.iter().all(|end| end.allowed) { "allowed" } else { "denied" },
        decided,
        egress: end("egress"),
        ingress: end("ingress"),
        hosts: said.into_iter().filter(|end| end.direction != "egress" && end.direction != "ingress").collect(),
        notes,
    })
}

/// Everybody's words in the order in which they are asked, and what only a host can know. Hosts that nobody declared have none.
fn said(site: &Site, index: &Index<'_>, question: &Question<'_>) -> (Vec<End>, Vec<String>) {
    let Decision { egress, ingress, .. } = index.verdict(&question.packet);
    let ends = [("egress", egress), ("ingress", ingress)].into_iter();
    let ends: Vec<End> = ends.filter_map(|(direction, end)| Some(told(direction, &end?))).collect();
    if site.hosts.is_empty() && site.host_endpoints.is_empty() {
        return (ends, Vec::new());
    }
    let way = question.walked("", None);
    let is_same = |end: &End, trace: &DirectionTrace| {
        (&end.direction, &end.endpoint, &end.tier) == (&trace.direction, &trace.endpoint, &trace.tier)
    };
    let of_trace =
        |trace: &DirectionTrace| ends.iter().find(|end| is_same(end, trace)).cloned().unwrap_or_else(|| End::of(trace));
    (way.directions.iter().map(of_trace).collect(), way.notes)
}

/// `tcp/5432`, however the line says it.
fn traffic(asked: &Asked) -> Result<String, String> {
    let protocol = match (&asked.traffic, &asked.protocol) {
        (Some(traffic), _) => return Ok(traffic.clone()),
        (None, Some(Protocol::Name(name))) => name.to_ascii_lowercase(),
        (None, Some(Protocol::Number(number))) => {
            let named: PortMatch = format!("proto/{number}").parse().map_err(|error| format!("protocol: {error}"))?;
            named.to_string()
        }
        (None, None) => return Err("neither traffic nor protocol is given".to_owned()),
    };
    Ok(asked.port.map_or_else(|| protocol.clone(), |port| format!("{protocol}/{port}")))
}

fn told(direction: &str, ruling: &Ruling) -> End {
    let (tier, policy, rule) = question::decider(&ruling.by);
    let (direction, endpoint, allowed) = (direction.to_owned(), ruling.endpoint.clone(), ruling.allowed);
    End { direction, endpoint, allowed, reason: ruling.by.to_string(), tier, policy, rule }
}

fn write_line(out: &mut impl Write, answer: &Result<Answer, Refusal>) -> io::Result<()> {
    match answer {
        Ok(answer) => serde_json::to_writer(&mut *out, answer)?,
        Err(refusal) => serde_json::to_writer(&mut *out, refusal)?,
    }
    out.write_all(b"\n")
}
