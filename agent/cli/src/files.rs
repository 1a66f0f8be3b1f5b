//! Reads what people declared: files, directories, or stdin; and puts files where others read them.
//!
//! In: the paths given with `-f`. Out: manifests as their authors wrote them, in a stable order. A JSON array, which
//! `get -o json` prints for several objects, becomes several documents.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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

/// Under another name first, and on the disk, before it takes its place.
pub(crate) fn put(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let draft = directory.join(format!(".{name}.{}", std::process::id()));
    let written = fill(&draft, content, mode).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        let _ = fs::remove_file(&draft);
    }
    written?;
    File::open(directory)?.sync_all()
}

fn fill(draft: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let _ = fs::remove_file(draft); // of a run that was killed and had our number
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(draft)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}
