//! Writes and reads netlink messages: a header, a fixed head, and attributes that may nest.
//!
//! In: numbers, texts and octets. Out: octets, and back. Knows nothing of what any attribute means.
//! Layout: linux/netlink.h (`struct nlmsghdr`, `struct nlattr`); everything is padded to 4 octets.

/// The message asks for something; every message of ours is a request.
pub(super) const NLM_F_REQUEST: u16 = 0x1;
/// Answer also if all went well.
pub(super) const NLM_F_ACK: u16 = 0x4;
/// The dump was disturbed by a change and may have holes.
pub(super) const NLM_F_DUMP_INTR: u16 = 0x10;
/// Everything of a kind, not one thing.
pub(super) const NLM_F_DUMP: u16 = 0x300;
/// Takes the place of what is there.
pub(super) const NLM_F_REPLACE: u16 = 0x100;
/// Fails if it is there.
pub(super) const NLM_F_EXCL: u16 = 0x200;
/// Makes it if it is not there.
pub(super) const NLM_F_CREATE: u16 = 0x400;
/// At the end of the list.
pub(super) const NLM_F_APPEND: u16 = 0x800;

const NLA_F_NESTED: u16 = 0x8000;
/// Without `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
const NLA_TYPE_MASK: u16 = 0x3fff;

const HEADER_OCTETS: usize = 16;
const ATTRIBUTE_HEADER_OCTETS: usize = 4;

/// A growing buffer of messages.
#[derive(Default)]
pub(super) struct Writer {
    octets: Vec<u8>,
}

impl Writer {
    /// The octets so far.
    pub(super) fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Writes one message: `head` is the fixed part of its kind, `attributes` writes what follows.
    pub(super) fn message(
        &mut self,
        kind: u16,
        flags: u16,
        sequence: u32,
        head: &[u8],
        attributes: impl FnOnce(&mut Self),
    ) {
        let start = self.octets.len();
        self.octets.extend([0; 4]);
        self.octets.extend(kind.to_ne_bytes());
        self.octets.extend(flags.to_ne_bytes());
        self.octets.extend(sequence.to_ne_bytes());
        self.octets.extend([0; 4]);
        self.octets.extend(head);
        self.pad();
        attributes(self);
        let length = u32::try_from(self.octets.len() - start).expect("a message is shorter than 4 GiB");
        self.octets[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds a flag to a message that begins at `start`.
    pub(super) fn add_flags(&mut self, start: usize, flags: u16) {
        let place = start + 6..start + 8;
        let old = u16::from_ne_bytes([self.octets[place.start], self.octets[place.start + 1]]);
        self.octets[place].copy_from_slice(&(old | flags).to_ne_bytes());
    }

    /// Raw octets, as they are; the fixed part of a message within an attribute.
    pub(super) fn raw(&mut self, octets: &[u8]) {
        self.octets.extend(octets);
        self.pad();
    }

    /// An attribute of octets.
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        self.attribute(kind, |out| out.octets.extend(value));
    }

    /// A number in host order, as rtnetlink has them.
    pub(super) fn put_u32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_ne_bytes());
    }

    /// A number in network order, as nfnetlink has them.
    pub(super) fn put_be32(&mut self, kind: u16, value: u32) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A long number in network order.
    pub(super) fn put_be64(&mut self, kind: u16, value: u64) {
        self.put(kind, &value.to_be_bytes());
    }

    /// A text with its NUL.
    pub(super) fn put_text(&mut self, kind: u16, text: &str) {
        self.attribute(kind, |out| {
            out.octets.extend(text.as_bytes());
            out.octets.push(0);
        });
    }

    /// An attribute of attributes.
    pub(super) fn nest(&mut self, kind: u16, content: impl FnOnce(&mut Self)) {
        self.attribute(kind | NLA_F_NESTED, content);
    }

    fn attribute(&mut self, kind: u16, content: impl FnOnce(&mut Self)) {
        let start = self.octets.len();
        self.octets.extend([0; 2]);
        self.octets.extend(kind.to_ne_bytes());
        content(self);
        let length = u16::try_from(self.octets.len() - start).expect("long lists are split before they reach 64 KiB");
        self.octets[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.pad();
    }

    fn pad(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }
}

/// One message as received.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// What it is, `nlmsg_type`.
    pub(super) kind: u16,
    /// `nlmsg_flags`.
    pub(super) flags: u16,
    /// Which request it answers.
    pub(super) sequence: u32,
    /// Who caused it: `nlmsg_pid`, the port of a socket, 0 for the kernel itself.
    pub(super) port: u32,
    /// What follows the header.
    pub(super) payload: &'a [u8],
}

/// The messages of one datagram, up to the first that is cut short.
pub(super) fn messages(mut octets: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(octets, 0)?).ok()?;
        let payload = octets.get(HEADER_OCTETS..length)?;
        let message = Message {
            kind: u16_at(octets, 4)?,
            flags: u16_at(octets, 6)?,
            sequence: u32_at(octets, 8)?,
            port: u32_at(octets, 12)?,
            payload,
        };
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// The attributes in some octets, as kind and value, up to the first that is cut short.
pub(super) fn attributes(mut octets: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(octets, 0)?);
        let kind = u16_at(octets, 2)? & NLA_TYPE_MASK;
        let value = octets.get(ATTRIBUTE_HEADER_OCTETS..length)?;
        octets = octets.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The first attribute of a kind.
pub(super) fn attribute(octets: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(octets).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

/// A text without its NUL; nothing if it is no UTF-8.
pub(super) fn text(value: &[u8]) -> Option<&str> {
    std::str::from_utf8(value.split(|octet| *octet == 0).next()?).ok()
}

/// Two octets in host order.
pub(super) fn u16_at(octets: &[u8], place: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(octets.get(place..place + 2)?.try_into().ok()?))
}

/// Four octets in host order.
pub(super) fn u32_at(octets: &[u8], place: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(octets.get(place..place + 4)?.try_into().ok()?))
}

/// Four octets in network order.
pub(super) fn be32_at(octets: &[u8], place: usize) -> Option<u32> {
    u32_at(octets, place).map(u32::from_be)
}

/// A number of eight octets in network order.
pub(super) fn be64_at(octets: &[u8], place: usize) -> Option<u64> {
    let octets = octets.get(place..place + 8)?;
    octets.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Writer::default();
        out.message(24, NLM_F_REQUEST, 7, &[2, 32, 0, 0], |out| {
            out.put_text(1, "lo");
            out.nest(2, |out| out.put_be32(3, 0x0a00_0001));
        });

        let message = messages(out.octets()).next().unwrap();
        let body = &message.payload[4..];

        assert_eq!((message.kind, message.flags, message.sequence), (24, NLM_F_REQUEST, 7));
        assert_eq!(text(attribute(body, 1).unwrap()), Some("lo"));
        assert_eq!(be32_at(attribute(attribute(body, 2).unwrap(), 3).unwrap(), 0), Some(0x0a00_0001));
    }

    #[test]
    fn octets_cut_short_end_the_reading() {
        let mut out = Writer::default();
        out.message(24, 0, 1, &[], |out| out.put_u32(1, 5));

        for length in 0..out.octets().len() {
            assert!(messages(&out.octets()[..length]).next().is_none());
        }
        assert!(attributes(&[9, 0, 1, 0, 0]).next().is_none());
        assert!(attributes(&[0, 0, 0, 0]).next().is_none(), "a length of nothing would never end");
    }
}
