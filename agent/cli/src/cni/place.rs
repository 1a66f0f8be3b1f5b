//! Puts files where others read them: each is the old one or the new one, at any time and after any crash.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::files;
use crate::problem::{Exit, Problem};

/// The specification's own pattern; the name becomes part of a path. `of` is what the option names.
pub(crate) fn is_name(option: &str, name: &str, of: &str) -> Result<(), Problem> {
    let is_inner = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    match name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.chars().all(is_inner) {
        true => Ok(()),
        false => Err(Problem::usage(format!("{option} {name:?} is no name of {of}"))
            .advice("begin with a letter or digit; letters, digits, _ . - may follow")),
    }
}

/// Two configurations of one name: runtimes would take either.
pub(super) fn is_only(directory: &Path, own: &Path, name: &str) -> Result<(), Problem> {
    let files = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_read = |path: &PathBuf| {
        path != own && path.extension().is_some_and(|end| end == "conf" || end == "conflist" || end == "json")
    };
    let is_so_called = |path: &PathBuf| {
        let text = fs::read(path).unwrap_or_default();
        serde_json::from_slice::<Value>(&text).is_ok_and(|configuration| configuration["name"] == name)
    };
    match files.filter(is_read).find(is_so_called) {
        Some(other) => Err(Problem::new(Exit::Conflict, format!("{} has a network {name} already", other.display()))
            .advice("another --name, or remove that file")),
        None => Ok(()),
    }
}

/// The plugin that is named, or else the one beside this program.
pub(crate) fn plugin(named: Option<&Path>) -> Result<Vec<u8>, Problem> {
    let beside = || std::env::current_exe().map(|program| program.with_file_name("poplin-cni"));
    let path = named.map(Path::to_owned).map_or_else(beside, Ok).map_err(|error| {
        Problem::new(Exit::NotFound, format!("where this program is cannot be found out: {error}"))
            .advice("name the plugin by --plugin")
    })?;
    fs::read(&path).map_err(|error| {
        Problem::new(Exit::NotFound, format!("{}: {error}", path.display()))
            .advice("build it (cargo build --release), or name it by --plugin")
    })
}

/// Writes a file unless it is there as it should be, and says which.
pub(crate) fn put(path: &Path, content: &[u8], mode: u32) -> Result<String, Problem> {
    if is_there(path, content, mode) {
        return Ok(format!("{} unchanged\n", path.display()));
    }
    files::put(path, content, mode).map_err(|error| refused(path, &error))?;
    Ok(format!("{} written\n", path.display()))
}

/// The same of a file that people may have changed: what was there stays beside it, under a name that runtimes do not read.
pub(super) fn put_keeping(path: &Path, content: &[u8]) -> Result<String, Problem> {
    const MODE: u32 = 0o644;
    let former = match fs::read(path) {
        Ok(former) if former != content => former,
        Ok(_) | Err(_) => return put(path, content, MODE),
    };
    let beside = free_beside(path);
    let mode = fs::metadata(path).map_or(MODE, |found| found.permissions().mode() & 0o777);
    files::put(&beside, &former, mode).map_err(|error| refused(&beside, &error))?;
    Ok(format!("{}; what was there is in {}\n", put(path, content, MODE)?.trim_end(), beside.display()))
}

/// A name beside it that nothing has: what was kept before stays, too.
fn free_beside(path: &Path) -> PathBuf {
    let numbered = (1..).map(|number| path.with_extension(format!("conflist.before.{number}")));
    let mut names = std::iter::once(path.with_extension("conflist.before")).chain(numbered);
    names.find(|name| fs::symlink_metadata(name).is_err()).unwrap_or_else(|| path.with_extension("conflist.before"))
}

fn is_there(path: &Path, content: &[u8], mode: u32) -> bool {
    let has_mode = |found: fs::Metadata| found.permissions().mode() & 0o777 == mode;
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && has_mode(found))
        && fs::read(path).is_ok_and(|found| found == content)
}

fn refused(path: &Path, error: &io::Error) -> Problem {
    let exit = if error.kind() == io::ErrorKind::PermissionDenied { Exit::Denied } else { Exit::Failed };
    Problem::new(exit, format!("cannot write {}: {error}", path.display()))
}
