//! One message, of whatever kind.

use super::{
    Dialect, Family, Fault, Flaw, Framer, Notification, Open, Update,
    header::{Kind, framed},
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
    /// A wish to hear everything again, or a mark around that.
    RouteRefresh(RouteRefresh),
}

/// A wish to hear all routes of one family again (RFC 2918), or a mark around them (RFC 7313).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteRefresh {
    /// Which family; `None` stands for one that we do not speak, and is to be ignored.
    pub family: Option<Family>,
    /// What of a refresh it is.
    pub part: RefreshPart,
}

/// The parts of a refresh, RFC 7313 §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshPart {
    /// The wish.
    Request = 0,
    /// All routes follow from here on.
    Begin = 1,
    /// That was all.
    End = 2,
}

impl Message {
    /// The whole message in octets, header included.
    /// Its parts must fit into [`Dialect::octets_out`] together; [`pack_reach`](super::pack_reach) cuts updates to size.
    pub fn encode(&self, dialect: Dialect) -> Vec<u8> {
        framed(self.kind(), |out| match self {
            Self::Open(open) => open.encode(out),
            Self::Update(update) => update.encode(dialect, out),
            Self::Notification(notification) => notification.encode(out),
            Self::Keepalive => {}
            Self::RouteRefresh(refresh) => refresh.encode(out),
        })
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

impl From<RouteRefresh> for Message {
    fn from(refresh: RouteRefresh) -> Self {
        Self::RouteRefresh(refresh)
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
            Kind::RouteRefresh => Message::RouteRefresh(RouteRefresh::decode(body)?),
        };
        Ok(Some((message, Vec::new())))
    }
}

impl RefreshPart {
    fn of(octet: u8) -> Option<Self> {
        [Self::Request, Self::Begin, Self::End].into_iter().find(|&part| part as u8 == octet)
    }
}

impl RouteRefresh {
    /// Of another length than four octets nothing can be told, RFC 7313 §5; a part that we do not know is ignored.
    fn decode(body: &[u8]) -> Result<Self, Notification> {
        let &[afi0, afi1, octet, safi] = body else { return Err(bad_length(body)) };
        let part = RefreshPart::of(octet);
        let family = part.and_then(|_| Family::of(u16::from_be_bytes([afi0, afi1]), safi));
        Ok(Self { family, part: part.unwrap_or(RefreshPart::Request) })
    }

    fn encode(self, out: &mut Vec<u8>) {
        let (afi, safi) = self.family.map_or((0, 0), Family::numbers);
        out.extend(afi.to_be_bytes());
        out.extend([self.part as u8, safi]);
    }
}

/// Marks have an error of their own, which shows the whole message.
fn bad_length(body: &[u8]) -> Notification {
    let message = framed(Kind::RouteRefresh, |out| out.extend(body));
    match body.get(2).copied().and_then(RefreshPart::of) {
        Some(RefreshPart::Begin | RefreshPart::End) => Fault::REFRESH_LENGTH.with(message),
        Some(RefreshPart::Request) | None => {
            Fault::BAD_LENGTH.with(u16::try_from(message.len()).unwrap_or(u16::MAX).to_be_bytes())
        }
    }
}
