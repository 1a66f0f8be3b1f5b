//! Counts the prefixes that come and go in a stream of messages, and looks at nothing else.

const HEADER: usize = 19;

/// Cuts a stream into messages, and counts.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    octets: Vec<u8>,
    /// Prefixes that came.
    pub(crate) announced: usize,
    /// Prefixes that went.
    pub(crate) withdrawn: usize,
    /// The kind of each message that is no UPDATE, in order.
    pub(crate) others: Vec<u8>,
}

const UPDATE: u8 = 2;

impl Counter {
    pub(crate) fn feed(&mut self, octets: &[u8]) {
        self.octets.extend_from_slice(octets);
        let waiting = std::mem::take(&mut self.octets);
        let mut rest = &waiting[..];
        while let Some((message, after)) = split(rest) {
            self.count(message);
            rest = after;
        }
        self.octets = rest.to_vec();
    }

    fn count(&mut self, message: &[u8]) {
        let body = &message[HEADER..];
        match message[HEADER - 1] {
            UPDATE => {
                let (withdrawn, rest) = counted(body);
                let (_, announced) = counted(rest);
                self.withdrawn += prefixes(withdrawn);
                self.announced += prefixes(announced);
            }
            kind => self.others.push(kind),
        }
    }
}

fn split(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = octets.first_chunk::<HEADER>()?;
    octets.split_at_checked(usize::from(u16::from_be_bytes([header[16], header[17]])))
}

/// A field led by its length, and what follows it.
fn counted(octets: &[u8]) -> (&[u8], &[u8]) {
    let length = usize::from(u16::from_be_bytes([octets[0], octets[1]]));
    octets[2..].split_at(length)
}

fn prefixes(mut octets: &[u8]) -> usize {
    let mut count = 0;
    while let Some(&bits) = octets.first() {
        octets = &octets[1 + usize::from(bits).div_ceil(8)..];
        count += 1;
    }
    count
}
