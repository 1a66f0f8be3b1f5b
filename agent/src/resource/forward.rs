//! Reads what agents write past the fields that only later agents know.
//!
//! In: a document of the store. Out: what of it is known here. A document that is known whole costs nothing more. Who may write knows all that may stand there, so
//! nothing that is passed over here is written over (`schema.rs`).

use std::collections::BTreeMap;

use poplin_proto::v1::Resource;
use serde_json::{Error, Value};

/// Reads a document, past what is not known. What is known and not sound is an error as ever.
pub(super) fn read(kind: &str, text: &str) -> Result<Resource, Error> {
    match Resource::from_json(kind, text) {
        Err(error) if is_of_unknown(&error) => {}
        read => return read,
    }
    let mut document: Value = serde_json::from_str(text)?;
    loop {
        let said = match Resource::deserialize_kind(kind, &document) {
            Err(error) if is_of_unknown(&error) => error,
            read => return read,
        };
        let Some(without) = without_one(kind, &document, &said) else { return Err(said) };
        document = without;
    }
}

fn is_of_unknown(error: &Error) -> bool {
    error.to_string().starts_with(UNKNOWN)
}

/// As serde says it.
const UNKNOWN: &str = "unknown field `";

/// The document without the field that the error is about: of those places that have its name, the one without which it is not said any more.
fn without_one(kind: &str, document: &Value, said: &Error) -> Option<Value> {
    let said = said.to_string();
    let name = said.strip_prefix(UNKNOWN)?.split('`').next()?;
    let mut places = BTreeMap::<String, Vec<String>>::new();
    find(document, name, &mut Vec::new(), &mut places);
    let mut tried = places.values().map(|alike| without(document, alike, name));
    tried.find(|one| match Resource::deserialize_kind(kind, one) {
        Err(error) => error.to_string() != said,
        Ok(_) => true,
    })
}

/// Where objects stand that have a field of this name, as JSON pointers (RFC 6901); those that are items of the same lists together.
fn find(value: &Value, name: &str, at: &mut Vec<Step>, places: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::Object(fields) => {
            if fields.contains_key(name) {
                let kind_of_place = at.iter().map(Step::kind).collect();
                places.entry(kind_of_place).or_default().push(at.iter().map(Step::pointer).collect());
            }
            for (field, child) in fields {
                at.push(Step::Field(field.clone()));
                find(child, name, at, places);
                at.pop();
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                at.push(Step::Item(number));
                find(item, name, at, places);
                at.pop();
            }
        }
        _ => {}
    }
}

/// One step into a document.
enum Step {
    Field(String),
    Item(usize),
}

impl Step {
    fn pointer(&self) -> String {
        match self {
            Step::Field(field) => format!("/{}", field.replace('~', "~0").replace('/', "~1")),
            Step::Item(number) => format!("/{number}"),
        }
    }

    fn kind(&self) -> String {
        match self {
            Step::Field(_) => self.pointer(),
            Step::Item(_) => "/*".to_owned(),
        }
    }
}

fn without(document: &Value, places: &[String], name: &str) -> Value {
    let mut document = document.clone();
    for place in places {
        if let Some(Value::Object(fields)) = document.pointer_mut(place) {
            fields.remove(name);
        }
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(spec: &str, metadata: &str) -> String {
        format!(
            r#"{{"kind":"Host","metadata":{{"name":"h1","labels":{{"rack":"r1"}}{metadata}}},"spec":{{"routerId":"192.0.2.1"{spec}}}}}"#
        )
    }

    #[test]
    fn a_host_of_a_later_agent_is_read_past_what_is_not_known() {
        let known = Resource::from_json("Host", &host("", "")).unwrap();
        let later = [
            host(r#","racks":[1,2]"#, ""),
            host(r#","labels":{"a":"b"},"weight":{"labels":3}"#, r#","owner":"me","weight":1"#),
        ];
        for text in later {
            assert!(Resource::from_json("Host", &text).is_err(), "{text}");
            assert_eq!(read("Host", &text).unwrap(), known, "{text}");
        }
    }

    #[test]
    fn what_is_known_and_not_sound_is_an_error_also_beside_what_is_not_known() {
        let text = host(r#","later":1,"drain":"perhaps""#, "");
        assert!(read("Host", &text).unwrap_err().to_string().contains("perhaps"));
    }

    #[test]
    fn a_label_of_the_name_of_an_unknown_field_stays() {
        let text = r#"{"kind":"Host","metadata":{"name":"h1","labels":{"weight":"7"}},"spec":{"routerId":"192.0.2.1","weight":7}}"#;
        let read = read("Host", text).unwrap();
        assert_eq!(read.metadata().unwrap().labels["weight"], "7");
    }
}
