//! One message, of whatever kind.

use super::{
    Dialect, Family, Flaw, Framer, Notification, Open, Update,
    header::{Kind, framed},
    reader::Reader,
};

/// One message, RFC 4271 §4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Who the sender is, and what it can do.
    Open(Open),
    /// Routes come and go.
    Update(Update),
    /// The last message: what went wrong.
    Notification(Notification),
    /// A sign of life.
    Keepalive,
    /// A wish to hear everything again.
    RouteRefresh(RouteRefresh),
}

/// A wish to hear all routes of one family again, RFC 2918.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// Which family; `None` stands for one that we do not speak, and is to be ignored.
    pub family: Option<Family>,
}

impl Message {
    /// The whole message in octets, header included.
    /// Its parts must fit into [`Dialect::octets_out`] together; [`pack_reach`](super::pack_reach) cuts updates to size.
    pub fn encode(&self, dialect: Dialect) -> Vec<u8> {
        let mut body = Vec::new();
        match self {
            Self::Open(open) => open.encode(&mut body),
            Self::Update(update) => update.encode(dialect, &mut body),
            Self::Notification(notification) => notification.encode(&mut body),
            Self::Keepalive => {}
            Self::RouteRefresh(refresh) => refresh.encode(&mut body),
        }
        framed(self.kind(), &body)
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Open(_) => Kind::Open,
            Self::Update(_) => Kind::Update,
            Self::Notification(_) => Kind::Notification,
            Self::Keepalive => Kind::Keepalive,
            Self::RouteRefresh(_) => Kind::RouteRefresh,
        }
    }
}

impl From<Open> for Message {
    fn from(open: Open) -> Self {
        Self::Open(open)
    }
}

impl From<Notification> for Message {
    fn from(notification: Notification) -> Self {
        Self::Notification(notification)
    }
}

impl Framer {
    /// The next whole message, if it has arrived, and the flaws that it survived.
    /// An error is the NOTIFICATION to answer with; the stream is not to be read further after it.
    pub fn next(&mut self, dialect: Dialect) -> Result<Option<(Message, Vec<Flaw>)>, Notification> {
        let Some((kind, body)) = self.next_frame(dialect.octets_in())? else { return Ok(None) };
        let message = match kind {
            Kind::Open => Message::Open(Open::decode(body)?),
            Kind::Update => {
                let (update, flaws) = Update::decode(body, dialect)?;
                return Ok(Some((Message::Update(update), flaws)));
            }
            Kind::Notification => Message::Notification(Notification::decode(body)?),
            Kind::Keepalive => Message::Keepalive,
            Kind::RouteRefresh => Message::RouteRefresh(RouteRefresh::decode(body)),
        };
        Ok(Some((message, Vec::new())))
    }
}

impl RouteRefresh {
    fn decode(body: &[u8]) -> Self {
        let mut reader = Reader::new(body);
        let fields = (reader.u16(), reader.u8(), reader.u8());
        let family = match fields {
            // The octet between AFI and SAFI was reserved; RFC 7313 made 1 and 2 of it mark the ends of a refresh.
            (Some(afi), Some(0), Some(safi)) => Family::of(afi, safi),
            _ => None,
        };
        Self { family }
    }

    fn encode(self, out: &mut Vec<u8>) {
        let (afi, safi) = self.family.map_or((0, 0), Family::numbers);
        out.extend(afi.to_be_bytes());
        out.extend([0, safi]);
    }
}
