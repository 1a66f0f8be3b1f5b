//! Endpoints written by hand, for worlds that do not exist yet: one line each.
//!
//! ```yaml
//! apiVersion: poplin.dev/v1
//! kind: Topology
//! endpoints:
//!   web-1: {labels: {app: web}, addresses: [10.77.0.1]}
//!   db: {host: h1, namespace: shop, labels: {app: db}, addresses: [10.77.0.3, "fd00::3"], ports: [sql=tcp/5432]}
//! ```
//! In: such a document. Out: the Endpoint documents it stands for, which are checked like any other.

use std::collections::BTreeMap;

use poplin_proto::v1::{Endpoint, EndpointSpec, Manifest, Metadata, Resource};
use poplin_proto::{API_VERSION, Failure};
use serde::Deserialize;
use tonic::Code;

use crate::Document;
use crate::file::{Yaml, split};

/// What its documents are called.
pub const KIND: &str = "Topology";

/// The whole document.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Topology {
    #[serde(rename = "apiVersion")]
    api_version: String,
    #[serde(rename = "kind")]
    _kind: String,
    endpoints: BTreeMap<String, Short>,
}

/// An endpoint, as far as policy looks at it.
#[derive(Debug, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
#[derive(Default)]
struct Short {
    host: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    profiles: Vec<String>,
    addresses: Vec<String>,
    ports: Vec<String>,
}

/// The endpoints of every document of a file.
pub fn read(manifest: &Manifest) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    for excerpt in split(&manifest.text) {
        let yaml = Yaml::of(&manifest.name, excerpt);
        let topology: Topology = serde_saphyr::from_str(yaml.text()).map_err(|error| yaml.failure(&error))?;
        if topology.api_version != API_VERSION {
            let message = format!("apiVersion {:?} is not known", topology.api_version);
            return Err(Failure::new(Code::InvalidArgument, "UNKNOWN_API_VERSION", message)
                .origin(manifest.name.as_str())
                .advice(format!("write apiVersion: {API_VERSION}")));
        }
        documents.extend(topology.endpoints.into_iter().map(|(name, short)| Document::typed(short.endpoint(name))));
    }
    Ok(documents)
}

impl Short {
    fn endpoint(self, name: String) -> Resource {
        let Self { host, namespace, labels, profiles, addresses, ports } = self;
        let metadata = Metadata { name, namespace, labels, ..Metadata::default() };
        let spec = EndpointSpec { host, addresses, ports, profiles, ..EndpointSpec::default() };
        Endpoint { metadata: Some(metadata), spec: Some(spec), ..Endpoint::default() }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(text: &str) -> Result<Vec<Document>, Failure> {
        read(&Manifest { name: "topology.yaml".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_line_is_an_endpoint() {
        let text = "\
apiVersion: poplin.dev/v1
kind: Topology
endpoints:
  web: {namespace: shop, labels: {app: web}, addresses: [10.77.0.1], ports: [http=tcp/80]}
";
        let world = crate::world(&endpoints(text).unwrap()).unwrap();

        assert_eq!(world.endpoints["web"].labels.get("app"), Some("web"));
        assert_eq!(world.endpoints["web"].ports[0].to_string(), "http=tcp/80");
    }

    #[test]
    fn a_misspelt_word_is_refused_where_it_stands() {
        let text = "apiVersion: poplin.dev/v1\nkind: Topology\nendpoints:\n  web: {adresses: [10.77.0.1]}\n";
        assert_eq!(endpoints(text).unwrap_err().origin.as_deref(), Some("topology.yaml:4:9"));
    }
}
