//! Reads what people declared: files, directories, or stdin.
//!
//! In: the paths given with `-f`. Out: manifests as their authors wrote them, in a stable order. A JSON array, which
//! `get -o json` prints for several objects, becomes several documents.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use poplin_proto::v1::Manifest;

use crate::problem::{Exit, Problem};

/// Reads every path; those inside a directory in order of their names, without its subdirectories.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Manifest>, Problem> {
    let mut manifests = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            manifests.push(manifest("-", read_stdin()?)?);
            continue;
        }
        for file in files_of(path)? {
            let text = fs::read_to_string(&file).map_err(|error| unreadable(&file, &error))?;
            manifests.push(manifest(&file.display().to_string(), text)?);
        }
    }
    Ok(manifests)
}

fn read_stdin() -> Result<String, Problem> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| unreadable(Path::new("-"), &error))?;
    Ok(text)
}

fn files_of(path: &Path) -> Result<Vec<PathBuf>, Problem> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
        let file = entry.map_err(|error| unreadable(path, &error))?.path();
        if is_declaration(&file) && !file.is_dir() {
            files.push(file);
        }
    }
    if files.is_empty() {
        return Err(Problem::new(Exit::NotFound, format!("no .yaml, .yml or .json file in {}", path.display())));
    }
    files.sort();
    Ok(files)
}

fn is_declaration(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

fn manifest(name: &str, text: String) -> Result<Manifest, Problem> {
    let text = if text.trim_start().starts_with('[') { documents_of_array(name, &text)? } else { text };
    Ok(Manifest { name: name.to_owned(), text })
}

/// Positions in later error messages are those of the documents, one a line.
fn documents_of_array(name: &str, text: &str) -> Result<String, Problem> {
    let documents: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|error| {
        Problem::new(Exit::Failed, format!("{error}, at {name}:{}:{}", error.line(), error.column()))
    })?;
    Ok(documents.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n---\n"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let exit = match error.kind() {
        std::io::ErrorKind::NotFound => Exit::NotFound,
        std::io::ErrorKind::PermissionDenied => Exit::Denied,
        _ => Exit::Failed,
    };
    Problem::new(exit, format!("cannot read {}: {}", path.display(), reason(error)))
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        std::io::ErrorKind::InvalidData => "it is not UTF-8 text".to_owned(),
        _ => error.to_string(),
    }
}
