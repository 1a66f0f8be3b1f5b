//! Reads a file of YAML documents into resources, each with where it stands.
//!
//! In: text. Out: documents, or everything that is wrong, with file, line and column. A document is split off at its `---`
//! line, which YAML forbids inside any scalar (YAML 1.2.2 §9.1.2), and knows on which line it begins, so that
//! positions are those of the file. Documents of other houses become ours on the way in.

use std::sync::{Arc, OnceLock};

use poplin_proto::resource::Header;
use poplin_proto::v1::{Manifest, Resource};
use poplin_proto::{API_VERSION, Failure, UnknownKind};
use serde::{Deserialize as _, Deserializer};
use tonic::Code;

use crate::field::{Invalid, Invalids};
use crate::import::{self, Foreign};
use crate::list;
use crate::locate::{Found, Places, entry};

/// Largest file, in octets: as much as a request to the agent has room for. Some 20,000 policies fit, or a few address sets of 100,000 prefixes.
const MOST_OCTETS: usize = 16 << 20;

/// One object and where its author wrote it.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says.
    pub resource: Resource,
    /// Where it stands; absent for objects sent in typed form.
    source: Option<Source>,
    /// What its author called it, if it was written as another house's: `NetworkPolicy shop/api`.
    written_as: Option<String>,
}

/// Where a document stands.
#[derive(Clone, Debug)]
struct Source {
    yaml: Arc<Yaml>,
    /// Where in the YAML document it begins, if that is a list: `items[3]`.
    path: String,
}

/// One YAML document.
#[derive(Debug)]
pub(crate) struct Yaml {
    /// The file's name.
    file: String,
    /// The document's text.
    text: String,
    /// How many lines of the file stand before it.
    lines_before: usize,
    /// Where everything stands; found out when somebody asks, once, for a long document may have many mistakes.
    places: OnceLock<Places>,
}

/// A document, its shape checked.
pub(crate) enum Item {
    Ours(Resource),
    Foreign(Foreign),
}

impl Item {
    /// Reads a document whose kind is already known to be read here.
    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(header: &Header, yaml: D) -> Result<Self, D::Error> {
        match header.api_version == API_VERSION {
            true => Resource::deserialize_kind(&header.kind, yaml).map(Self::Ours),
            false => Foreign::deserialize(&header.api_version, &header.kind, yaml).map(Self::Foreign),
        }
    }
}

impl Document {
    /// An object that came in typed form.
    pub fn typed(mut resource: Resource) -> Self {
        resource.stamp();
        Self { resource, source: None, written_as: None }
    }

    /// What people call the object.
    pub fn title(&self) -> String {
        let (kind, name) = (self.resource.kind(), self.resource.name());
        let title = if name.is_empty() { kind.to_owned() } else { format!("{kind} {name}") };
        match &self.written_as {
            Some(written) => format!("{title} (from {written})"),
            None => title,
        }
    }

    /// What its author called it, if it was written as another house's.
    pub fn written_as(&self) -> Option<&str> {
        self.written_as.as_deref()
    }

    /// Something that is wrong with it, and where.
    pub fn failure(&self, invalid: Invalid) -> Failure {
        self.failures(invalid.into()).swap_remove(0)
    }

    /// Where a field of it stands, as `FILE:LINE:COLUMN`; absent for objects sent in typed form. A field of ours need not stand in
    /// what it was made from: then it is where the document begins.
    pub fn origin(&self, field: &str) -> Option<String> {
        let is_shared = field.starts_with("metadata.") || matches!(field, "spec.tier" | "spec.order");
        let field = if self.written_as.is_none() || is_shared { field } else { "" };
        self.source.as_ref().map(|source| source.origin(field))
    }

    /// Everything that is wrong with it, and where.
    pub fn failures(&self, invalids: Invalids) -> Vec<Failure> {
        let title = self.title();
        let failure = |invalid: Invalid| {
            let origin = self.origin(&invalid.field);
            Failure { origin, ..invalid.into_failure(&title) }
        };
        invalids.0.into_iter().map(failure).collect()
    }
}

impl Source {
    fn origin(&self, field: &str) -> String {
        let path = match (self.path.as_str(), field) {
            ("", field) => field.to_owned(),
            (path, "") => path.to_owned(),
            (path, field) => format!("{path}.{field}"),
        };
        self.yaml.origin(self.yaml.places().locate(&path))
    }

    /// The documents this item says, or everything that is wrong with it; none if it says what goes without saying.
    fn documents(self, item: Item) -> Result<Vec<Document>, Vec<Failure>> {
        let foreign = match item {
            Item::Ours(resource) => return Ok(vec![Document { resource, source: Some(self), written_as: None }]),
            Item::Foreign(foreign) => foreign,
        };
        let title = foreign.title();
        let resources = foreign.import().map_err(|invalids| {
            let failure = |invalid: Invalid| {
                let origin = Some(self.origin(&invalid.field));
                Failure { origin, ..invalid.into_failure(&title) }
            };
            invalids.0.into_iter().map(failure).collect::<Vec<_>>()
        })?;
        let ours = |resource| Document { resource, source: Some(self.clone()), written_as: Some(title.clone()) };
        Ok(resources.into_iter().map(ours).collect())
    }
}

/// Reads every document of a file.
pub fn read(manifest: &Manifest) -> Result<Vec<Document>, Vec<Failure>> {
    if manifest.text.len() > MOST_OCTETS {
        let message = format!("{} has {} bytes, at most {MOST_OCTETS} are read", manifest.name, manifest.text.len());
        return Err(vec![
            Failure::new(Code::InvalidArgument, "TOO_LARGE", message)
                .advice("split it into several files, and apply them one after the other"),
        ]);
    }
    let mut documents = Vec::new();
    let mut failures = Vec::new();
    for excerpt in split(&manifest.text) {
        match read_one(&manifest.name, excerpt) {
            Ok(read) => documents.extend(read),
            Err(wrong) => failures.extend(wrong),
        }
    }
    if failures.is_empty() { Ok(documents) } else { Err(failures) }
}

/// A document's text, and how many lines of the file stand before it.
pub(crate) type Excerpt = (String, usize);

/// The documents of a file that are not empty.
pub(crate) fn split(text: &str) -> Vec<Excerpt> {
    let is_mark = |line: &str| line.starts_with("---") && line[3..].chars().next().is_none_or(char::is_whitespace);
    let mut documents = vec![(String::new(), 0)];
    for (number, line) in text.lines().enumerate() {
        if is_mark(line) {
            documents.push((String::new(), number + 1));
        } else if let Some((last, _)) = documents.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    let says = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    documents.retain(|(document, _)| document.lines().any(says));
    documents
}

/// One YAML document, which may be a list of ours.
fn read_one(file: &str, excerpt: Excerpt) -> Result<Vec<Document>, Vec<Failure>> {
    let document = Arc::new(Yaml::of(file, excerpt));
    let source = Source { yaml: document.clone(), path: String::new() };
    let text = document.text.as_str();
    let yaml = |error: serde_saphyr::Error| vec![document.failure(&error)];
    let header: Header =
        serde_saphyr::with_deserializer_from_str_with_options(text, any_dialect(), |yaml| Header::deserialize(yaml))
            .map_err(yaml)?;
    let Some(item) = import::listed(&header.api_version, &header.kind) else {
        header_failure(&source, &header).map_err(|failure| vec![failure])?;
        let item = serde_saphyr::with_deserializer_from_str_with_options(text, dialect(&header), |yaml| {
            Item::deserialize(&header, yaml)
        });
        let item = item.map_err(yaml)?;
        return source.documents(item);
    };
    let headers = serde_saphyr::with_deserializer_from_str_with_options(text, any_dialect(), |yaml| {
        list::headers(&header, &item, yaml)
    });
    let headers = headers.map_err(yaml)?;
    let item_source = |index: usize| Source { path: format!("items[{index}]"), ..source.clone() };
    let failures: Vec<Failure> = headers
        .iter()
        .enumerate()
        .filter_map(|(index, header)| header_failure(&item_source(index), header).err())
        .collect();
    if !failures.is_empty() {
        return Err(failures);
    }
    let items = serde_saphyr::with_deserializer_from_str_with_options(text, dialect(&header), |yaml| {
        list::items(&headers, yaml)
    });
    let mut documents = Vec::new();
    let mut failures = Vec::new();
    for (index, item) in items.map_err(yaml)?.into_iter().enumerate() {
        match item_source(index).documents(item) {
            Ok(read) => documents.extend(read),
            Err(wrong) => failures.extend(wrong),
        }
    }
    if failures.is_empty() { Ok(documents) } else { Err(failures) }
}

/// Documents of other houses are read in the words of YAML 1.2 alone: a tier may be called `y`, and `010` is no number, for
/// some would take it for eight.
fn dialect(header: &Header) -> serde_saphyr::Options {
    let is_foreign = header.api_version != API_VERSION;
    serde_saphyr::options! {
        budget: budget(),
        strict_booleans: is_foreign,
        underscored_numbers_as_strings: is_foreign,
        leading_zero_numbers_as_strings: is_foreign,
    }
}

/// For what reads the same in all of them.
pub(crate) fn any_dialect() -> serde_saphyr::Options {
    serde_saphyr::options! { budget: budget() }
}

/// Room for the nodes and events of the largest file: one needs two octets. Depth, aliases and what they unfold to are bounded as ever.
fn budget() -> Option<serde_saphyr::Budget> {
    serde_saphyr::budget! { max_nodes: MOST_OCTETS / 2, max_events: MOST_OCTETS }
}

/// The first two lines must say what the rest is.
fn header_failure(source: &Source, header: &Header) -> Result<(), Failure> {
    let failure = |reason: &str, field: &str, message: String| {
        Failure::new(Code::InvalidArgument, reason, message).field(field).origin(source.origin(field))
    };
    if header.api_version.is_empty() {
        return Err(failure("NO_API_VERSION", "apiVersion", "the document has no apiVersion".to_owned())
            .advice(format!("begin it with apiVersion: {API_VERSION}")));
    }
    if import::is_known(&header.api_version) {
        return import::check_kind(&header.api_version, &header.kind)
            .map_err(|invalid| failure(invalid.reason, &invalid.field, invalid.message.clone()));
    }
    if header.api_version != API_VERSION {
        let message = format!("apiVersion {:?} is not known", header.api_version);
        let others: Vec<&str> = import::versions().collect();
        let advice = format!("write apiVersion: {API_VERSION}; read are also {}", others.join(", "));
        return Err(failure("UNKNOWN_API_VERSION", "apiVersion", message).advice(advice));
    }
    if !poplin_proto::KINDS.contains(&header.kind.as_str()) {
        let message = UnknownKind { kind: header.kind.clone() }.to_string();
        return Err(failure("UNKNOWN_KIND", "kind", message));
    }
    Ok(())
}

impl Yaml {
    pub(crate) fn of(file: &str, (text, lines_before): Excerpt) -> Self {
        Self { file: file.to_owned(), text, lines_before, places: OnceLock::new() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn places(&self) -> &Places {
        self.places.get_or_init(|| Places::of(&self.text))
    }

    /// `file:line:column` of a place in the document, or the file alone where it is not known.
    pub(crate) fn origin(&self, place: Option<(u64, u64)>) -> String {
        let before = u64::try_from(self.lines_before).unwrap_or_default();
        match place {
            Some((line, column)) => format!("{}:{}:{column}", self.file, before + line),
            None => self.file.clone(),
        }
    }

    /// What the parser said, by path where one begins at its place.
    pub(crate) fn failure(&self, error: &serde_saphyr::Error) -> Failure {
        let place = error.location().map(|place| (place.line(), place.column()));
        let message = error.without_snippet().render_with_formatter(&serde_saphyr::DefaultMessageFormatter);
        let message = message.lines().next().unwrap_or_default();
        let message = message.split(" at line ").next().unwrap_or_default(); // the place is told apart
        let found = place.map(|place| self.places().at(place)).unwrap_or_default();
        let mut failure = Failure::new(Code::InvalidArgument, "BAD_YAML", plain(message)).origin(self.origin(place));
        failure.field = blamed(message, &found);
        failure
    }
}

/// The field a message speaks of, of all that begin at its place.
fn blamed(message: &str, found: &[Found]) -> Option<String> {
    let quoted = |start: &str| message.strip_prefix(start)?.split_once('`').map(|(name, _)| name.to_owned());
    let is_of = |path: &str, name: &str| path == name || path.ends_with(&format!(".{name}")) || path.ends_with(']');
    if let Some(name) = quoted("missing field `") {
        return found.last().map(|found| entry(found.mapping(), &name));
    }
    let unknown = quoted("unknown field `").and_then(|name| found.iter().rfind(|found| is_of(found.path(), &name)));
    unknown.or(found.first()).map(|found| found.path().to_owned())
}

/// The parser's words, without those only its programmers know.
fn plain(message: &str) -> String {
    if let Some(rest) = message.strip_prefix("duplicate mapping key: ") {
        return format!("{} is given twice", rest.split(',').next().unwrap_or_default());
    }
    match message {
        "expected mapping start" => "a mapping belongs here".to_owned(),
        "expected sequence start" => "a list belongs here".to_owned(),
        "invalid floating point" => "a number belongs here".to_owned(),
        other if other.starts_with("non-finite float ") => "a finite number belongs here".to_owned(),
        other => other.to_owned(),
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
    fn what_is_no_number_is_told_in_words_of_the_house() {
        let order = |order: &str| {
            failures(&format!(
                "apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: db}}\nspec: {{order: {order}, ingress: []}}\n"
            ))
        };

        let ten = &order("ten")[0];
        assert_eq!((ten.message.as_str(), ten.field.as_deref()), ("a number belongs here", Some("spec.order")));
        for endless in [".nan", "1e999"] {
            assert_eq!(order(endless)[0].message, "a finite number belongs here");
        }
    }

    #[test]
    fn a_selector_without_a_word_is_refused() {
        let policy = |spec: &str| {
            failures(&format!("apiVersion: poplin.dev/v1\nkind: Policy\nmetadata: {{name: db}}\nspec: {{{spec}}}\n"))
        };
        let peers = |peers: &str| policy(&format!("ingress: [{{action: allow, from: {{{peers}}}}}]"));

        for (wrong, field) in [
            (policy("subject: '', ingress: []"), "spec.subject"),
            (policy("namespaces: ' ', ingress: []"), "spec.namespaces"),
            (peers("select: ''"), "spec.ingress[0].from.select"),
            (peers("select: "), "spec.ingress[0].from.select"),
            (peers("notSelect: \"\""), "spec.ingress[0].from.notSelect"),
            (peers("namespaces: ''"), "spec.ingress[0].from.namespaces"),
        ] {
            let told = wrong.iter().map(|failure| (failure.field.as_deref(), failure.message.as_str()));
            assert!(
                told.clone().any(|(path, message)| path == Some(field) && message.contains("would match anything")),
                "{field}: {:?}",
                told.collect::<Vec<_>>()
            );
        }
        assert!(peers("select: all()").is_empty());
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
    fn thousands_of_documents_are_read_quickly_and_each_knows_its_line() {
        let document = |number: usize| {
            format!("---\napiVersion: poplin.dev/v1\nkind: Tier\nmetadata: {{name: t{number}}}\nspec: {{order: 1}}\n")
        };
        let text: String = (0..20_000).map(document).collect();

        assert_eq!(
            read(&Manifest { name: "shop.yaml".to_owned(), text: text.clone() }).map_or(0, |all| all.len()),
            20_000
        );
        let wrong = failures(&format!("{text}---\napiVersion: poplin.dev/v1\nkind: Tier\nspec: {{ordre: 1}}\n"));

        assert_eq!(wrong[0].origin.as_deref(), Some("shop.yaml:100004:8"));
    }

    #[test]
    fn a_list_as_long_as_a_file_may_be_is_read() {
        let head = "apiVersion: poplin.dev/v1\nkind: AddressSet\nmetadata: {name: big}\n";
        let nets = "10.0.0.0/32, ".repeat(300_000);

        let all = read(&Manifest { name: "set.yaml".to_owned(), text: format!("{head}spec: {{nets: [{nets}]}}\n") });

        assert_eq!(all.map_or(0, |all| all.len()), 1);
    }

    #[test]
    fn nesting_without_end_is_refused_quickly() {
        let text = format!("apiVersion: poplin.dev/v1\nkind: Pool\nspec: {}", "[".repeat(100_000));
        assert_eq!(failures(&text)[0].reason, "BAD_YAML");
    }

    #[test]
    fn thousands_of_wrong_items_are_told_quickly() {
        let text = format!("apiVersion: v1\nkind: List\nitems: [{}]\n", "{kind: Pod}, ".repeat(20_000));

        let failures = failures(&text);

        assert_eq!((failures.len(), failures[1].origin.as_deref()), (20_000, Some("shop.yaml:3:22")));
    }

    #[test]
    fn thousands_of_mistakes_are_told_quickly() {
        let ports = "{port: 0}, ".repeat(20_000);
        let head = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a}\n";
        let text = format!("{head}spec: {{ingress: [{{ports: [{ports}]}}]}}\n");

        let failures = failures(&text);

        assert_eq!(failures.len(), 20_000);
        assert_eq!(failures[1].origin.as_deref(), Some("shop.yaml:4:45"));
    }
}
