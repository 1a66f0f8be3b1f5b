//! Reads what a pod asks for itself, in annotations: whoever makes pods cannot say labels to a plugin in any other way.
//!
//! In: the annotations of a pod, by the capability containerd and CRI-O have for them. Out: labels, addresses, a MAC and aliases.
//! Pods are made by people who have not set up this host: what the configuration says goes before it, and what would be ours to say is refused.

use std::collections::BTreeMap;

/// What annotations of ours begin with. All others are for other programs.
const OURS: &str = "poplin.dev/";
const KNOWN: [&str; 4] = ["aliases", "ips", "labels", "mac"];

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Annotations {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) ips: Vec<String>,
    pub(super) mac: Option<String>,
    pub(super) aliases: Vec<String>,
}

impl Annotations {
    /// The error names the annotation, and what to write instead.
    pub(super) fn read(annotations: &BTreeMap<String, String>) -> Result<Self, String> {
        let mut read = Self::default();
        for (key, value) in annotations {
            match key.strip_prefix(OURS) {
                None => {}
                Some("aliases") => read.aliases = listed(value).map(str::to_owned).collect(),
                Some("ips") => read.ips = listed(value).map(str::to_owned).collect(),
                Some("labels") => read.labels = listed(value).map(label).collect::<Result<_, _>>()?,
                Some("mac") => read.mac = listed(value).next().map(str::to_owned),
                Some(other) => {
                    let known = KNOWN.map(|name| format!("{OURS}{name}")).join(", ");
                    return Err(format!("annotation {OURS}{other} is none of {known}"));
                }
            }
        }
        Ok(read)
    }
}

/// Entries between commas, in as many lines as one likes.
fn listed(value: &str) -> impl Iterator<Item = &str> {
    value.split([',', '\n']).map(str::trim).filter(|entry| !entry.is_empty())
}

fn label(entry: &str) -> Result<(String, String), String> {
    match entry.split_once('=') {
        Some((key, _)) if key.starts_with(OURS) => {
            Err(format!("annotation {OURS}labels: {entry:?}: labels of {OURS} are not a pod's to give"))
        }
        Some((key, value)) if !key.is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        Some(_) | None => Err(format!("annotation {OURS}labels: {entry:?} is not KEY=VALUE; app=web,tier=front is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Annotations, String> {
        Annotations::read(&pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn a_pod_asks_for_labels_addresses_a_mac_and_aliases() {
        let asked = read(&[
            ("poplin.dev/labels", "app=web, tier=front\nempty=,"),
            ("poplin.dev/ips", "10.77.0.9,fd77::9"),
            ("poplin.dev/mac", "02:00:00:00:00:09"),
            ("poplin.dev/aliases", "www"),
            ("kubernetes.io/config.seen", "app"),
        ]);

        let labels = [("app", "web"), ("empty", ""), ("tier", "front")];
        let expected = Annotations {
            labels: labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ips: vec!["10.77.0.9".to_owned(), "fd77::9".to_owned()],
            mac: Some("02:00:00:00:00:09".to_owned()),
            aliases: vec!["www".to_owned()],
        };
        assert_eq!(asked, Ok(expected));
    }

    #[test]
    fn what_is_misspelt_or_not_a_pods_to_say_is_refused_by_name() {
        for (key, value, told) in [
            ("poplin.dev/label", "app=web", "poplin.dev/label is none of poplin.dev/aliases, poplin.dev/ips"),
            ("poplin.dev/labels", "app", "\"app\" is not KEY=VALUE"),
            ("poplin.dev/labels", "=web", "\"=web\" is not KEY=VALUE"),
            ("poplin.dev/labels", "poplin.dev/pod-namespace=bank", "not a pod's to give"),
        ] {
            let refused = read(&[(key, value)]).unwrap_err();
            assert!(refused.contains(told), "{refused}");
        }
    }
}
