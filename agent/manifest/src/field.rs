//! What a field may hold, and what is said where it does not.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use poplin_policy::label::Labels;
use poplin_policy::model::{NamedPort, QualifiedName};
use poplin_policy::nat::Published;
use poplin_policy::selector::Selector;
use poplin_proto::Failure;
use poplin_proto::v1::{Metadata, Resource};

/// One field that cannot be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Its path, in document spelling, such as `spec.ingress[2].ports[0]`.
    pub field: String,
    /// Stable name for programs.
    pub reason: &'static str,
    /// What is wrong: value and bound.
    pub message: String,
    /// What to try.
    pub advice: Option<String>,
}

impl Invalid {
    /// A field that cannot be so.
    pub fn new(field: impl Into<String>, reason: &'static str, message: impl Into<String>) -> Self {
        Self { field: field.into(), reason, message: message.into(), advice: None }
    }

    /// Says what to try.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// The form errors travel in.
    pub fn into_failure(self, thing: &str) -> Failure {
        let at = if self.field.is_empty() { thing.to_owned() } else { format!("{thing}: {}", self.field) };
        let mut failure = Failure::new(tonic::Code::InvalidArgument, self.reason, format!("{at}: {}", self.message));
        failure.field = Some(self.field).filter(|field| !field.is_empty());
        failure.advice = self.advice;
        failure
    }
}

/// Every field of one object that cannot be so; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalids(pub Vec<Invalid>);

impl From<Invalid> for Invalids {
    fn from(invalid: Invalid) -> Self {
        Self(vec![invalid])
    }
}

impl fmt::Display for Invalids {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|invalid| format!("{}: {}", invalid.field, invalid.message)).collect();
        out.write_str(&all.join("; "))
    }
}

/// Collects what is wrong with an object, so that its author hears of everything at once.
#[derive(Default)]
pub struct Findings(Vec<Invalid>);

impl Findings {
    /// Keeps the value, or notes what is wrong with it.
    pub fn take<T>(&mut self, checked: Result<T, Invalid>) -> Option<T> {
        checked.map_err(|invalid| self.0.push(invalid)).ok()
    }

    /// Keeps a part that was checked by itself, or notes everything that is wrong with it.
    pub fn take_part<T>(&mut self, checked: Result<T, Invalids>) -> Option<T> {
        checked.map_err(|invalids| self.0.extend(invalids.0)).ok()
    }

    /// Keeps the values, or notes everything that is wrong with them.
    pub fn take_all<T>(&mut self, checked: impl IntoIterator<Item = Result<T, Invalid>>) -> Vec<T> {
        let mut values: Vec<T> = checked.into_iter().filter_map(|one| self.take(one)).collect();
        values.shrink_to_fit(); // they are kept as long as the object is, ten thousand times over
        values
    }

    /// Whether nothing was wrong so far.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Notes something that is wrong.
    pub fn add(&mut self, invalid: Invalid) {
        self.0.push(invalid);
    }

    /// The object if nothing was wrong with it.
    pub fn finish<T>(self, object: Option<T>) -> Result<T, Invalids> {
        match object {
            Some(object) if self.0.is_empty() => Ok(object),
            _ => Err(Invalids(self.0)),
        }
    }
}

/// Longest object name, in octets: what DNS allows (RFC 1035 §2.3.4).
const MAX_NAME_OCTETS: usize = 253;

/// Checks what every object carries.
pub fn check_metadata(resource: &Resource) -> Result<(), Invalids> {
    let metadata = resource.metadata().cloned().unwrap_or_default();
    let mut findings = Findings::default();
    findings.take(object_name("metadata.name", &metadata.name));
    findings.take(labels("metadata.labels", &metadata.labels));
    if !metadata.namespace.is_empty() {
        findings.take(namespace_of(resource.kind(), &metadata.namespace));
    }
    findings.finish(Some(()))
}

/// The kinds that may live in a namespace.
const NAMESPACED: [&str; 3] = ["Policy", "AddressSet", "Endpoint"];

fn namespace_of(kind: &str, namespace: &str) -> Result<(), Invalid> {
    if !NAMESPACED.contains(&kind) {
        let message = format!("a {kind} lives in no namespace");
        return Err(
            Invalid::new("metadata.namespace", "NOT_NAMESPACED", message).advice("leave metadata.namespace out")
        );
    }
    object_name("metadata.namespace", namespace)
}

/// Checks the name of an object.
pub fn object_name(field: &str, name: &str) -> Result<(), Invalid> {
    let invalid = |message: String| {
        Err(Invalid::new(field, "BAD_NAME", message)
            .advice("use lower case letters, digits, dashes and dots, such as shop-db"))
    };
    let is_label = |label: &str| {
        let inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    match name {
        "" => invalid("the object has no name".to_owned()),
        _ if name.len() > MAX_NAME_OCTETS => {
            invalid(format!("the name has {} octets, at most {MAX_NAME_OCTETS} are allowed", name.len()))
        }
        _ if !name.split('.').all(is_label) => invalid(format!("{name:?} is not a name")),
        _ => Ok(()),
    }
}

/// Checks a name as DNS has it; Docker's may have underscores. In lower case from then on: DNS does not tell the cases apart.
pub fn dns_name(field: &str, text: &str) -> Result<String, Invalid> {
    let name = text.to_ascii_lowercase();
    let is_label = |label: &str| {
        let inner = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'-' | b'_');
        (1..=MAX_DNS_LABEL_OCTETS).contains(&label.len()) && label.bytes().all(inner)
    };
    match name.len() <= MAX_NAME_OCTETS && name.split('.').all(is_label) {
        true => Ok(name),
        false => Err(Invalid::new(field, "BAD_DNS_NAME", format!("{text:?} is no name of DNS")).advice(format!(
            "use letters, digits, dashes, underscores and dots, at most {MAX_DNS_LABEL_OCTETS} between two dots, such as db.local"
        ))),
    }
}

/// The longest part of a name of DNS (RFC 1035 §2.3.4).
const MAX_DNS_LABEL_OCTETS: usize = 63;

/// Checks labels.
pub fn labels(field: &str, labels: &BTreeMap<String, String>) -> Result<Labels, Invalid> {
    Labels::try_from_pairs(labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))
        .map_err(|error| Invalid::new(field, "BAD_LABEL", error.to_string()))
}

/// The labels in the form documents have.
pub fn show_labels(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// The labels of an object whose metadata were checked before.
pub fn checked_labels(metadata: Option<&Metadata>) -> Result<Labels, Invalid> {
    metadata.map_or_else(|| Ok(Labels::default()), |metadata| labels("metadata.labels", &metadata.labels))
}

/// The name of an object whose metadata were checked before.
pub fn checked_name(metadata: Option<&Metadata>) -> String {
    metadata.map(|metadata| metadata.name.clone()).unwrap_or_default()
}

/// The name and namespace of an object whose metadata were checked before.
pub fn checked_qualified_name(metadata: Option<&Metadata>) -> QualifiedName {
    let name = checked_name(metadata);
    match metadata.map(|metadata| metadata.namespace.as_str()).filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => QualifiedName::within(namespace, name),
        None => QualifiedName::global(name),
    }
}

/// Checks names of ports, as endpoints have them: `http=tcp/8080`.
pub fn named_ports(field: &str, texts: &[String]) -> Vec<Result<NamedPort, Invalid>> {
    let check = |(index, text): (usize, &String)| {
        NamedPort::from_str(text).map_err(|error| {
            Invalid::new(format!("{field}[{index}]"), "BAD_NAMED_PORT", format!("{text:?}: {error}"))
                .advice("a named port looks like http=tcp/8080")
        })
    };
    texts.iter().enumerate().map(check).collect()
}

/// Checks ports that are published; none may overlap another of them.
pub fn published_ports(findings: &mut Findings, field: &str, texts: &[String]) -> Vec<Published> {
    let mut published: Vec<Published> = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let field = format!("{field}[{index}]");
        let checked = text.parse::<Published>().map_err(|error| {
            Invalid::new(&field, "BAD_PUBLISHED_PORT", error.to_string())
                .advice("a published port looks like 8080:80/tcp or 192.0.2.1:8000-8010:80-90/udp")
        });
        let Some(port) = findings.take(checked) else { continue };
        if let Some(other) = published.iter().find(|other| other.overlaps(&port)) {
            findings.add(Invalid::new(&field, "DUPLICATE", format!("{port} overlaps {other}")));
        }
        published.push(port);
    }
    published
}

/// Checks a selector; empty selects all.
pub fn selector(field: &str, text: &str) -> Result<Selector, Invalid> {
    Selector::parse(text).map_err(|error| {
        Invalid::new(field, "BAD_SELECTOR", format!("{error} in {text:?}"))
            .advice("a selector looks like: app == 'web' && tier in {'front', 'back'}")
    })
}

/// Checks a prefix. Host bits must be zero: `10.0.0.7/24` might mean two things.
pub fn net(field: &str, text: &str) -> Result<IpNet, Invalid> {
    let net: IpNet = parse(field, text, "BAD_PREFIX", "a prefix such as 10.4.0.0/16 or fd00:4::/48")?;
    if net.trunc() == net {
        return Ok(net);
    }
    let whole = net.trunc();
    Err(Invalid::new(field, "HOST_BITS", format!("{text} has bits set beyond its prefix length"))
        .advice(format!("write {whole}")))
}

/// Checks a list of prefixes.
pub fn nets(field: &str, texts: &[String]) -> Vec<Result<IpNet, Invalid>> {
    texts.iter().enumerate().map(|(index, text)| net(&format!("{field}[{index}]"), text)).collect()
}

/// Parses a text, and says what was expected instead.
pub fn parse<T: FromStr>(field: &str, text: &str, reason: &'static str, expected: &str) -> Result<T, Invalid> {
    text.parse().map_err(|_| Invalid::new(field, reason, format!("{text:?} is not {expected}")))
}

/// Checks that a number lies within bounds, both allowed.
pub fn within(field: &str, value: u32, low: u32, high: u32, unit: &str) -> Result<u32, Invalid> {
    if (low..=high).contains(&value) {
        return Ok(value);
    }
    let side = if value < low { format!("below {low}") } else { format!("above {high}") };
    Err(Invalid::new(field, "OUT_OF_RANGE", format!("{value}{unit} is {side}")))
}

/// Checks a word against the words that may stand there.
pub fn word<T: Copy>(field: &str, text: &str, words: &[(&str, T)]) -> Result<T, Invalid> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
    let known = known.join(", ");
    let message = match text {
        "" => format!("nothing is said, and one of {known} belongs here"),
        other => format!("{other:?} is not one of {known}"),
    };
    Err(Invalid::new(field, "UNKNOWN_WORD", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_there_is_not_said_to_be_a_wrong_one() {
        let told = |text| word("action", text, &[("allow", 1), ("deny", 2)]).unwrap_err().message;

        assert_eq!(told(""), "nothing is said, and one of allow, deny belongs here");
        assert_eq!(told("Allow"), "\"Allow\" is not one of allow, deny");
    }
}
