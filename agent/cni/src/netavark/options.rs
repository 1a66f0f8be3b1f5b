//! Options of a network (`podman network create -o`), and of a container in it (`podman run --network NAME:KEY=VALUE`).
//!
//! In: pairs of text. Out: what a configuration of CNI says for the same. An option nobody knows is refused by name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::error::CniError;

/// How options begin that are labels.
const LABEL: &str = "label.";
/// Lists, with commas between.
const LISTS: [&str; 3] = ["floating", "pools", "profiles"];
/// Bits a second, and bits.
const RATES: [&str; 4] = ["egressBurst", "egressRate", "ingressBurst", "ingressRate"];
/// What is a network's alone to say.
const PLACES: [&str; 2] = ["network", "socket"];

/// Whose options they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    Network,
    Container,
}

/// Options whose names are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Options(BTreeMap<String, String>);

impl Options {
    /// Reads an object of texts; none is an empty one.
    pub(super) fn read(value: &Value, of: Of) -> Result<Self, CniError> {
        let options: Option<BTreeMap<String, String>> =
            serde_json::from_value(value.clone()).map_err(|error| CniError::decode(&error))?;
        let options = options.unwrap_or_default();
        options.iter().try_for_each(|(key, value)| check(key, value, of))?;
        Ok(Self(options))
    }

    /// Those of the network, with those of one container over them.
    pub(super) fn with(mut self, more: Self) -> Self {
        self.0.extend(more.0);
        self
    }

    /// A configuration of CNI that says the same.
    pub(super) fn conf(&self) -> Value {
        let mut conf = json!({"labels": self.labels(), "bandwidth": self.rates()});
        for (key, value) in &self.0 {
            if PLACES.contains(&key.as_str()) {
                conf[key] = json!(value);
            } else if LISTS.contains(&key.as_str()) {
                let entries = value.split(',').map(str::trim).filter(|entry| !entry.is_empty());
                conf[key] = json!(entries.collect::<Vec<_>>());
            }
        }
        conf
    }

    fn labels(&self) -> BTreeMap<&str, &str> {
        self.0.iter().filter_map(|(key, value)| Some((key.strip_prefix(LABEL)?, value.as_str()))).collect()
    }

    fn rates(&self) -> BTreeMap<&str, u64> {
        let rates = self.0.iter().filter(|(key, _)| RATES.contains(&key.as_str()));
        rates.filter_map(|(key, value)| Some((key.as_str(), value.parse().ok()?))).collect()
    }
}

fn check(key: &str, value: &str, of: Of) -> Result<(), CniError> {
    let is_place = PLACES.contains(&key);
    if RATES.contains(&key) && value.parse::<u64>().is_err() {
        let unit = if key.ends_with("Rate") { "bits a second" } else { "bits" };
        return Err(CniError::config(format!("option {key} is {value:?}, not a number of {unit}")));
    }
    if key.strip_prefix(LABEL).is_some_and(|label| !label.is_empty()) || RATES.contains(&key) || LISTS.contains(&key) {
        return Ok(());
    }
    match of {
        Of::Network if is_place => Ok(()),
        Of::Container if is_place => Err(CniError::config(format!("option {key} is the network's to have"))
            .details(format!("podman network create -o {key}=…"))),
        Of::Network | Of::Container => {
            let known = [&["label.KEY"][..], &LISTS, &RATES, &PLACES].concat();
            Err(CniError::config(format!("option {key} is none of {}", known.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_become_what_a_configuration_says() {
        let network = json!({"network": "shop", "label.app": "web", "label.tier": "front", "pools": "four, six", "ingressRate": "8000000"});
        let container = json!({"label.tier": "back", "floating": "198.51.100.7"});

        let options = Options::read(&network, Of::Network).unwrap();
        let conf = options.with(Options::read(&container, Of::Container).unwrap()).conf();

        let expected = json!({
            "labels": {"app": "web", "tier": "back"},
            "bandwidth": {"ingressRate": 8_000_000},
            "network": "shop",
            "pools": ["four", "six"],
            "floating": ["198.51.100.7"],
        });
        assert_eq!(conf, expected);
        assert_eq!(Options::read(&Value::Null, Of::Network).unwrap(), Options::default());
    }

    #[test]
    fn what_nobody_knows_or_is_not_a_containers_to_say_is_refused_by_name() {
        for (options, of, told) in [
            (json!({"isolate": "true"}), Of::Network, "option isolate is none of label.KEY, floating, pools"),
            (json!({"label.": "x"}), Of::Network, "option label. is none of"),
            (
                json!({"egressRate": "fast"}),
                Of::Network,
                "option egressRate is \"fast\", not a number of bits a second",
            ),
            (json!({"egressBurst": "-1"}), Of::Container, "not a number of bits"),
            (json!({"socket": "/tmp/s"}), Of::Container, "option socket is the network's to have"),
        ] {
            let refused = Options::read(&options, of).unwrap_err().told();
            assert!(refused.contains(told), "{refused}");
        }
        assert!(Options::read(&json!({"network": 7}), Of::Network).is_err());
    }
}
