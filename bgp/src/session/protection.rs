//! What keeps strangers off the connections to a neighbour; the hands see to it.
//!
//! Rules: RFC 2385 (TCP MD5 signatures), RFC 5082 (GTSM: what comes from afar shows it by its hop limit).

use std::{num::NonZeroU8, path::PathBuf};

/// What keeps strangers off the connections to one neighbour. By default nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// The file of this host that holds the password of TCP MD5 signatures; `None` for no signatures.
    /// Its name is all that is known here: passwords pass through nothing that shows or stores things.
    pub password_file: Option<PathBuf>,
    /// How many hops the neighbour may be away, 1 for one on a link of ours: what comes from farther is dropped unread.
    /// `None` drops nothing.
    pub hops_max: Option<NonZeroU8>,
}
