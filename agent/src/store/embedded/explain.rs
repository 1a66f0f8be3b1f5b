//! Tells redb's errors apart.

use crate::store::StoreError;
use std::path::{Path, PathBuf};

pub(super) fn explain(path: &Path, error: redb::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen => StoreError::AlreadyOpen { path },
        redb::Error::Io(cause) => explain_io(path, cause),
        cause if is_damage(&cause) => StoreError::Corrupt { path, cause: cause.into() },
        cause => StoreError::File { path, cause: cause.into() },
    }
}

fn explain_io(path: PathBuf, cause: std::io::Error) -> StoreError {
    use std::io::ErrorKind::{InvalidData, QuotaExceeded, StorageFull, UnexpectedEof};
    match cause.kind() {
        StorageFull | QuotaExceeded => StoreError::Full { location: path.display().to_string(), cause: cause.into() },
        InvalidData | UnexpectedEof => StoreError::Corrupt { path, cause: cause.into() },
        _ => StoreError::File { path, cause: cause.into() },
    }
}

fn is_damage(error: &redb::Error) -> bool {
    use redb::Error::{Corrupted, TableIsMultimap, TableTypeMismatch, TypeDefinitionChanged};
    matches!(error, Corrupted(_) | TableIsMultimap(_) | TableTypeMismatch { .. } | TypeDefinitionChanged { .. })
}
