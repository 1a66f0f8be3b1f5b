//! `poplin ports`: which ports of which hosts lead where.

use std::process::ExitCode;

use poplin_proto::v1::Resource;
use poplin_proto::v1::resource::Object;
use serde::Serialize;

use crate::agent;
use crate::door::Door;
use crate::output::{json, print, unprintable};
use crate::problem::Problem;
use crate::table::aligned;

/// List published ports: which port of which host leads to which endpoint.
#[derive(Debug, clap::Args)]
#[command(before_help = "Examples:
  poplin ports
  poplin ports --host rack1-h7 -o json")]
pub(crate) struct Ports {
    /// Only ports of this host.
    #[arg(long, default_value = "", hide_default_value = true)]
    host: String,
    /// Only ports of endpoints whose labels match.
    #[arg(short = 'l', long, default_value = "", hide_default_value = true)]
    selector: String,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// How ports are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// A line each, for people; may change.
    #[default]
    Table,
    /// An array.
    Json,
    /// A list.
    Yaml,
}

/// One publication.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
struct Port {
    host: String,
    endpoint: String,
    /// As it was asked for, with its protocol.
    published: String,
    /// Where it leads, with a prefix length.
    addresses: Vec<String>,
}

impl Ports {
    pub(crate) async fn run(self, door: &Door) -> Result<ExitCode, Problem> {
        let mut client = agent::resources(door).await?;
        let endpoints = agent::all(&mut client, "Endpoint", &self.selector).await?;
        let ports = ports(endpoints, &self.host);
        if ports.is_empty() && self.output == Form::Table {
            eprintln!("no port is published");
        }
        print(&match self.output {
            Form::Table => table(&ports),
            Form::Json => json(&ports)?,
            Form::Yaml => serde_saphyr::to_string(&ports).map_err(unprintable)?,
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What endpoints publish, by host and endpoint; of one host, if one is named.
fn ports(endpoints: Vec<Resource>, host: &str) -> Vec<Port> {
    let mut ports: Vec<Port> = endpoints.into_iter().flat_map(of_one).collect();
    ports.retain(|port| host.is_empty() || port.host == host);
    ports.sort();
    ports
}

fn of_one(endpoint: Resource) -> Vec<Port> {
    let name = endpoint.name().to_owned();
    let Some(Object::Endpoint(endpoint)) = endpoint.object else { return Vec::new() };
    let spec = endpoint.spec.unwrap_or_default();
    let port = |published| Port {
        host: spec.host.clone(),
        endpoint: name.clone(),
        published,
        addresses: spec.addresses.clone(),
    };
    spec.published.iter().cloned().map(port).collect()
}

fn table(ports: &[Port]) -> String {
    if ports.is_empty() {
        return String::new();
    }
    let heading = ["HOST", "PORT", "PROTOCOL", "ENDPOINT", "LEADS TO"].map(str::to_owned).to_vec();
    aligned(&std::iter::once(heading).chain(ports.iter().map(row)).collect::<Vec<_>>())
}

/// `8080:80/tcp` is shown in the columns a person looks for.
fn row(port: &Port) -> Vec<String> {
    let (rest, protocol) = port.published.rsplit_once('/').unwrap_or((&port.published, ""));
    let (at, to) = rest.rsplit_once(':').unwrap_or((rest, ""));
    // A host's address of one family leads to that family alone.
    let is_meant = |address: &&String| match (at.contains('['), at.contains('.')) {
        (true, _) => address.contains(':'),
        (false, true) => !address.contains(':'),
        (false, false) => true,
    };
    let addresses: Vec<String> = port.addresses.iter().filter(is_meant).map(|address| socket(address, to)).collect();
    vec![port.host.clone(), at.to_owned(), protocol.to_owned(), port.endpoint.clone(), addresses.join(" ")]
}

fn socket(prefix: &str, port: &str) -> String {
    let address = prefix.split_once('/').map_or(prefix, |(address, _)| address);
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(name: &str, host: &str, published: &str) -> Resource {
        let spec =
            format!(r#"{{"host":"{host}","addresses":["10.77.0.1/32","fd77::1/128"],"published":[{published}]}}"#);
        Resource::from_json("Endpoint", &format!(r#"{{"metadata":{{"name":"{name}"}},"spec":{spec}}}"#)).unwrap()
    }

    #[test]
    fn ports_stand_by_host_and_endpoint() {
        let endpoints = vec![
            endpoint("web", "h2", r#""8080:80/tcp","192.0.2.1:8000-8010:80-90/udp""#),
            endpoint("api", "h1", r#""[::]:443:443/tcp""#),
            endpoint("db", "h1", ""),
        ];

        let expected = "\
HOST  PORT                 PROTOCOL  ENDPOINT  LEADS TO
h1    [::]:443             tcp       api       [fd77::1]:443
h2    192.0.2.1:8000-8010  udp       web       10.77.0.1:80-90
h2    8080                 tcp       web       10.77.0.1:80 [fd77::1]:80
";
        assert_eq!(table(&ports(endpoints.clone(), "")), expected);
        assert_eq!(ports(endpoints, "h1").len(), 1);
    }
}
