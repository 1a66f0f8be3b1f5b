//! The password that a neighbour's segments are signed with, read from a file of this host.
//!
//! In: a path out of the store. Out: the password, or why there is none. Whoever may write to the store may name any file, so only plain ones
//! are read, and not beyond what a password may be long. Nothing here can print it.

use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// 1 to [`Password::OCTETS_MAX`] octets.
pub(super) struct Password(Vec<u8>);

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
pub(super) enum PasswordError {
    /// The file is not there, or not for us.
    #[error("cannot read the password file {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// A directory, a pipe, a device.
    #[error("the password file {} is no plain file", path.display())]
    NotPlain { path: PathBuf },
    /// Nothing in it, or too much.
    #[error("the password in {} is {found} octets long; 1 to {} are allowed", path.display(), Password::OCTETS_MAX)]
    Length { path: PathBuf, found: &'static str },
}

impl Password {
    /// The longest key Linux takes (`TCP_MD5SIG_MAXKEYLEN` in linux/tcp.h), as RFC 2385 §4.5 suggests.
    pub(super) const OCTETS_MAX: usize = 80;

    /// Reads the whole file; the line feed that an editor leaves at its end does not count.
    pub(super) fn read(path: &Path) -> Result<Self, PasswordError> {
        let unreadable = |source| PasswordError::Unreadable { path: path.to_owned(), source };
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default(); // a pipe without a writer would hold us up
        let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(PasswordError::NotPlain { path: path.to_owned() });
        }
        let mut octets = Vec::new();
        file.take(Self::OCTETS_MAX as u64 + 2).read_to_end(&mut octets).map_err(unreadable)?;
        if octets.last() == Some(&b'\n') {
            octets.pop();
        }
        match octets.len() {
            0 => Err(PasswordError::Length { path: path.to_owned(), found: "0" }),
            1..=Self::OCTETS_MAX => Ok(Self(octets)),
            _ => Err(PasswordError::Length { path: path.to_owned(), found: "more than 80" }),
        }
    }

    pub(super) fn octets(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read from a file with this content.
    fn read(name: &str, content: &[u8]) -> Result<Vec<u8>, String> {
        let path = std::env::temp_dir().join(format!("poplin-password-{name}-{}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        let outcome = Password::read(&path);
        std::fs::remove_file(&path).unwrap();
        outcome.map(|password| password.0).map_err(|error| error.to_string())
    }

    #[test]
    fn the_line_feed_at_the_end_is_no_part_of_a_password() {
        assert_eq!(read("plain", b"secret\n").unwrap(), b"secret");
        assert_eq!(read("bare", b" two words").unwrap(), b" two words");
        assert_eq!(read("longest", &[b'x'; 80]).unwrap(), [b'x'; 80]);
    }

    #[test]
    fn a_password_of_no_octets_or_too_many_is_refused() {
        assert!(read("empty", b"\n").unwrap_err().ends_with("is 0 octets long; 1 to 80 are allowed"));
        assert!(read("long", &[b'x'; 81]).unwrap_err().ends_with("is more than 80 octets long; 1 to 80 are allowed"));
    }

    #[test]
    fn what_is_no_plain_file_is_refused_and_not_waited_for() {
        let told = |path: &str| Password::read(Path::new(path)).map(|_| ()).unwrap_err().to_string();

        assert_eq!(told("/dev/zero"), "the password file /dev/zero is no plain file");
        assert_eq!(told("/proc/self/fd"), "the password file /proc/self/fd is no plain file");
        assert!(told("/nowhere/key").starts_with("cannot read the password file /nowhere/key: No such file"));
    }
}
