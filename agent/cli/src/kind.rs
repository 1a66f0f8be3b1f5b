//! Understands the words people use for kinds: singular, plural or short, in any case.

use poplin_proto::{KINDS, UnknownKind};

/// A kind of the wire contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind(&'static str);

/// Kind, plural, short form.
const WORDS: [(&str, &str, &str); KINDS.len()] = [
    ("Pool", "pools", "po"),
    ("Host", "hosts", "ho"),
    ("Endpoint", "endpoints", "ep"),
    ("Policy", "policies", "pol"),
    ("Tier", "tiers", "ti"),
    ("AddressSet", "addresssets", "as"),
    ("Peer", "peers", "pe"),
    ("FabricConfig", "fabricconfigs", "fc"),
    ("Namespace", "namespaces", "ns"),
    ("HostEndpoint", "hostendpoints", "hep"),
    ("RouteMap", "routemaps", "rm"),
    ("Network", "networks", "net"),
    ("Service", "services", "svc"),
    ("StaticRoute", "staticroutes", "sr"),
    ("Profile", "profiles", "pr"),
    ("FloatingAddress", "floatingaddresses", "fa"),
];

impl Kind {
    /// The name the agent knows.
    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }
}

/// How an object is called in one word: `policy/db`.
pub(crate) fn title(kind: &str, name: &str) -> String {
    format!("{}/{name}", kind.to_lowercase())
}

impl std::str::FromStr for Kind {
    type Err = UnknownKind;

    /// Words of several parts may be joined by a hyphen, as in `address-set`.
    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        let wanted = word.to_lowercase().replace('-', "");
        let is_meant = |(kind, plural, short): &&(&str, &str, &str)| {
            wanted == kind.to_lowercase() || wanted == *plural || wanted == *short
        };
        WORDS.iter().find(is_meant).map(|(kind, _, _)| Self(kind)).ok_or_else(|| UnknownKind { kind: word.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_understood_in_every_form() {
        for word in ["policy", "Policies", "POL", "Policy"] {
            assert_eq!(word.parse(), Ok(Kind("Policy")), "{word}");
        }
        for word in ["AddressSet", "address-sets", "as"] {
            assert_eq!(word.parse(), Ok(Kind("AddressSet")), "{word}");
        }
    }

    #[test]
    fn every_kind_has_its_words_and_no_word_means_two() {
        assert_eq!(WORDS.map(|(kind, _, _)| kind), KINDS);
        for (kind, plural, short) in WORDS {
            assert_eq!((plural.parse(), short.parse()), (Ok(Kind(kind)), Ok(Kind(kind))));
        }
    }

    #[test]
    fn an_unknown_kind_is_told_the_known_ones() {
        let error = "enpoint".parse::<Kind>().unwrap_err().to_string();

        assert!(error.contains("did you mean Endpoint?") && error.contains("FabricConfig"), "{error}");
    }
}
