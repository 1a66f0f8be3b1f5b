//! Cuts the stream of one connection into messages.
//!
//! In: chunks of any size. Out: type and body of one message after the other. Rules: RFC 4271 §4.1 and §6.1, RFC 8654 §4.

use super::{Fault, Notification, reader::Reader};

/// Marker, length and type.
pub const HEADER_OCTETS: usize = 19;

/// The longest message, RFC 4271 §4.1, unless longer ones were agreed on.
pub const MESSAGE_OCTETS_MAX: usize = 4096;

/// The longest message where that was agreed on, RFC 8654 §3; an OPEN and a KEEPALIVE never are that long.
pub const EXTENDED_OCTETS_MAX: usize = 65_535;

const MARKER: [u8; 16] = [0xff; 16];

/// The kinds of messages, with the least length RFC 4271 §6.1 and RFC 2918 give them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Open = 1,
    Update = 2,
    Notification = 3,
    Keepalive = 4,
    RouteRefresh = 5,
}

impl Kind {
    fn of(octet: u8) -> Option<Self> {
        let all = [Self::Open, Self::Update, Self::Notification, Self::Keepalive, Self::RouteRefresh];
        all.into_iter().find(|&kind| kind as u8 == octet)
    }

    fn admits(self, length: usize) -> bool {
        match self {
            Self::Open => (29..=MESSAGE_OCTETS_MAX).contains(&length),
            Self::Update => length >= 23,
            Self::Notification => length >= 21,
            Self::Keepalive => length == 19,
            // What another length is answered with depends on its body: RFC 7313 §5.
            Self::RouteRefresh => length >= 19,
        }
    }
}

/// What arrived and is not yet a whole message: less than the longest one whenever [`Framer::next`] has answered `None`.
#[derive(Debug, Default)]
pub struct Framer {
    octets: Vec<u8>,
    /// How many leading octets were handed out already.
    read: usize,
}

impl Framer {
    /// Takes in what arrived.
    pub fn feed(&mut self, octets: &[u8]) {
        self.octets.drain(..self.read);
        self.read = 0;
        self.octets.extend_from_slice(octets);
    }

    /// The next whole message as its kind and body, if it has arrived; at most so many octets are expected.
    pub(super) fn next_frame(&mut self, octets_max: usize) -> Result<Option<(Kind, &[u8])>, Notification> {
        let waiting = &self.octets[self.read..];
        let Some((kind, length)) = header(waiting, octets_max)? else { return Ok(None) };
        if waiting.len() < length {
            return Ok(None);
        }
        self.read += length;
        Ok(Some((kind, &waiting[HEADER_OCTETS..length])))
    }
}

fn header(octets: &[u8], octets_max: usize) -> Result<Option<(Kind, usize)>, Notification> {
    let marker = &octets[..octets.len().min(MARKER.len())];
    if marker.iter().any(|&octet| octet != 0xff) {
        return Err(Fault::NOT_SYNCHRONIZED.bare());
    }
    let mut reader = Reader::new(&octets[marker.len()..]);
    let (Some(length), Some(octet)) = (reader.u16(), reader.u8()) else { return Ok(None) };
    checked(length, octet, octets_max).map(Some)
}

fn checked(length: u16, octet: u8, octets_max: usize) -> Result<(Kind, usize), Notification> {
    let octets = usize::from(length);
    let bad_length = || Fault::BAD_LENGTH.with(length.to_be_bytes());
    if !(HEADER_OCTETS..=octets_max).contains(&octets) {
        return Err(bad_length());
    }
    let kind = Kind::of(octet).ok_or_else(|| Fault::BAD_TYPE.with([octet]))?;
    if kind.admits(octets) { Ok((kind, octets)) } else { Err(bad_length()) }
}

/// Room for a usual message: one that grows is moved about.
const USUAL_OCTETS: usize = 256;

/// One whole message around what `body` writes, which is at most as long as the longest message leaves room for.
pub(super) fn framed(kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::with_capacity(USUAL_OCTETS);
    out.extend(MARKER);
    out.extend([0; 2]);
    out.push(kind as u8);
    body(&mut out);
    set_length(&mut out);
    out
}

/// A message has grown, to at most the agreed octets: its header says so.
pub(super) fn set_length(message: &mut [u8]) {
    let length = u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes();
    message[MARKER.len()..MARKER.len() + length.len()].copy_from_slice(&length);
}
