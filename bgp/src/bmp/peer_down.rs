//! An established session ended.
//!
//! Rules: RFC 7854 §4.9, RFC 9069 §4.5 (the table itself).

use super::information::table_name;

/// Who ended a session, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// We did, with this NOTIFICATION, a whole message.
    Ours(Vec<u8>),
    /// We did without a word, because of this event of RFC 4271 §8.1.
    OursInSilence(u16),
    /// The neighbour did, with this NOTIFICATION, a whole message.
    Theirs(Vec<u8>),
    /// The connection broke.
    Lost,
    /// It goes on, and is not told of any more.
    NotMonitored,
    /// It is the table itself that is not told of any more.
    Table,
}

impl Reason {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ours(notification) => with(1, notification, out),
            Self::OursInSilence(event) => with(2, &event.to_be_bytes(), out),
            Self::Theirs(notification) => with(3, notification, out),
            Self::Lost => with(4, &[], out),
            Self::NotMonitored => with(5, &[], out),
            Self::Table => {
                with(6, &[], out);
                table_name(out);
            }
        }
    }
}

fn with(code: u8, data: &[u8], out: &mut Vec<u8>) {
    out.push(code);
    out.extend(data);
}
