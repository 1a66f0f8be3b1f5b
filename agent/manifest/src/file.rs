//! Reads a file of YAML documents into resources, each with where it stands.
//!
//! In: text. Out: documents, or everything that is wrong, with file, line and column. A document is split off at its `---`
//! line, which YAML forbids inside any scalar (YAML 1.2.2 §9.1.2), and read with as many empty lines before it as
//! the file has, so that positions are those of the file.

use poplin_proto::resource::Header;
use poplin_proto::v1::{Manifest, Resource};
use poplin_proto::{API_VERSION, Failure, UnknownKind};
use serde::Deserialize as _;
use tonic::Code;

use crate::field::Invalid;
use crate::locate::locate;

/// Largest file, in octets. A hundred objects of a few kilobytes fit; a store takes no more in one transaction anyway.
const MOST_OCTETS: usize = 1 << 20;

/// One object and where its author wrote it.
pub struct Document {
    /// What it says.
    pub resource: Resource,
    /// The file's name and its text up to the document's end; absent for objects sent in typed form.
    source: Option<(String, String)>,
}

impl Document {
    /// An object that came in typed form.
    pub fn typed(mut resource: Resource) -> Self {
        resource.stamp();
        Self { resource, source: None }
    }

    /// What people call the object.
    pub fn title(&self) -> String {
        let (kind, name) = (self.resource.kind(), self.resource.name());
        if name.is_empty() { kind.to_owned() } else { format!("{kind} {name}") }
    }

    /// Something that is wrong with it, and where.
    pub fn failure(&self, invalid: Invalid) -> Failure {
        let place = self.source.as_ref().map(|(file, text)| origin(file, locate(text, &invalid.field)));
        let mut failure = invalid.into_failure(&self.title());
        failure.origin = place;
        failure
    }
}

/// Reads every document of a file.
pub fn read(manifest: &Manifest) -> Result<Vec<Document>, Vec<Failure>> {
    if manifest.text.len() > MOST_OCTETS {
        let message = format!("{} has {} bytes, at most {MOST_OCTETS} are read", manifest.name, manifest.text.len());
        return Err(vec![
            Failure::new(Code::InvalidArgument, "TOO_LARGE", message).advice("split it into several files"),
        ]);
    }
    let mut documents = Vec::new();
    let mut failures = Vec::new();
    for text in split(&manifest.text) {
        match read_one(&manifest.name, text) {
            Ok(document) => documents.push(document),
            Err(failure) => failures.push(failure),
        }
    }
    if failures.is_empty() { Ok(documents) } else { Err(failures) }
}

/// The documents of a file that are not empty, each with blank lines in place of what stands before it.
fn split(text: &str) -> Vec<String> {
    let is_mark = |line: &str| line.starts_with("---") && line[3..].chars().next().is_none_or(char::is_whitespace);
    let mut documents = vec![String::new()];
    for (number, line) in text.lines().enumerate() {
        if is_mark(line) {
            documents.push("\n".repeat(number + 1));
        } else if let Some(last) = documents.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    documents
        .retain(|document| document.lines().any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')));
    documents
}

fn read_one(file: &str, text: String) -> Result<Document, Failure> {
    let yaml = |error: &serde_saphyr::Error| yaml_failure(file, error);
    let header: Header = serde_saphyr::with_deserializer_from_str(&text, |yaml| Header::deserialize(yaml))
        .map_err(|error| yaml(&error))?;
    header_failure(file, &text, &header)?;
    let resource =
        serde_saphyr::with_deserializer_from_str(&text, |yaml| Resource::deserialize_kind(&header.kind, yaml));
    Ok(Document { resource: resource.map_err(|error| yaml(&error))?, source: Some((file.to_owned(), text)) })
}

/// The first two lines must say what the rest is.
fn header_failure(file: &str, text: &str, header: &Header) -> Result<(), Failure> {
    let failure = |reason: &str, field: &str, message: String| {
        let place = origin(file, locate(text, field));
        Failure::new(Code::InvalidArgument, reason, message).field(field).origin(place)
    };
    if header.api_version.is_empty() {
        return Err(failure("NO_API_VERSION", "apiVersion", "the document has no apiVersion".to_owned())
            .advice(format!("begin it with apiVersion: {API_VERSION}")));
    }
    if header.api_version != API_VERSION {
        let message = format!("apiVersion {:?} is not known", header.api_version);
        return Err(
            failure("UNKNOWN_API_VERSION", "apiVersion", message).advice(format!("write apiVersion: {API_VERSION}"))
        );
    }
    if !poplin_proto::KINDS.contains(&header.kind.as_str()) {
        let message = UnknownKind { kind: header.kind.clone() }.to_string();
        return Err(failure("UNKNOWN_KIND", "kind", message));
    }
    Ok(())
}

fn yaml_failure(file: &str, error: &serde_saphyr::Error) -> Failure {
    let place = error.location().map(|place| (place.line(), place.column()));
    let message = error.without_snippet().render_with_formatter(&serde_saphyr::DefaultMessageFormatter);
    let message = message.lines().next().unwrap_or_default();
    let message = message.split(" at line ").next().unwrap_or_default(); // the place is told apart
    Failure::new(Code::InvalidArgument, "BAD_YAML", message).origin(origin(file, place))
}

fn origin(file: &str, place: Option<(u64, u64)>) -> String {
    match place {
        Some((line, column)) => format!("{file}:{line}:{column}"),
        None => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(text: &str) -> Vec<Failure> {
        let manifest = Manifest { name: "shop.yaml".to_owned(), text: text.to_owned() };
        read(&manifest).err().unwrap_or_default()
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place_in_the_file() {
        let text = "# shop\n---\napiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {name: db}\nspec:\n  ingres: []\n";

        let failure = &failures(text)[0];

        assert_eq!(failure.origin.as_deref(), Some("shop.yaml:7:3"));
        assert!(failure.message.contains("ingres"), "{}", failure.message);
    }

    #[test]
    fn a_document_without_a_kind_is_told_which_kinds_there_are() {
        let failure = &failures("apiVersion: poplin.dev/v1\nkind: Polcy\n")[0];

        assert_eq!(failure.origin.as_deref(), Some("shop.yaml:2:7"));
        assert!(failure.message.contains("did you mean Policy"), "{}", failure.message);
    }

    #[test]
    fn every_wrong_document_of_a_file_is_named() {
        let text = "apiVersion: v1\nkind: Pool\n---\n- just\n- a list\n---\n# nothing\n";
        assert_eq!(failures(text).len(), 2);
    }

    #[test]
    fn nesting_without_end_is_refused_quickly() {
        let text = format!("apiVersion: poplin.dev/v1\nkind: Pool\nspec: {}", "[".repeat(100_000));
        assert_eq!(failures(&text)[0].reason, "BAD_YAML");
    }
}
