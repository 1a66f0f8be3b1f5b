//! Prints objects in the form asked for. What is printed as YAML or JSON is what `apply` accepts.

use std::io::{self, Write as _};

use poplin_proto::v1::Resource;

use crate::kind::title;
use crate::problem::{Exit, Problem};
use crate::table;

/// How objects are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A line each, for people; may change.
    #[default]
    Table,
    /// The same with labels and more.
    Wide,
    /// One object, or an array of them.
    Json,
    /// One document each.
    Yaml,
    /// KIND/NAME a line.
    Name,
}

/// Writes to stdout; a reader that went away ends the run quietly.
pub(crate) fn print(text: &str) -> Result<(), Problem> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()?;
    Ok(())
}

/// One object, asked for by name.
pub(crate) fn one(resource: &Resource, format: Format) -> Result<String, Problem> {
    match format {
        Format::Json => json(resource),
        Format::Table | Format::Wide | Format::Yaml | Format::Name => many(std::slice::from_ref(resource), format),
    }
}

/// Any number of objects of one kind.
pub(crate) fn many(resources: &[Resource], format: Format) -> Result<String, Problem> {
    match format {
        Format::Table => Ok(table::rendered(resources, false)),
        Format::Wide => Ok(table::rendered(resources, true)),
        Format::Json => json(&resources),
        Format::Yaml => serde_saphyr::to_string_multiple(resources).map_err(unprintable),
        Format::Name => Ok(resources.iter().map(|resource| title(resource.kind(), resource.name()) + "\n").collect()),
    }
}

/// Indented JSON with a newline at its end.
pub(crate) fn json<T: serde::Serialize + ?Sized>(value: &T) -> Result<String, Problem> {
    serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(unprintable)
}

pub(crate) fn unprintable(error: impl std::fmt::Display) -> Problem {
    Problem::new(Exit::Failed, format!("the agent's answer cannot be printed: {error}"))
}
