//! KRPC: typed messages from and to datagrams. No state.
//!
//! Protocol, section 2. [`Message::decode`] sorts a datagram into what is dropped
//! (`Err`), what is understood but wrong (a query to be answered with an error, a
//! response that fails its sender), and what is good; after it nobody checks again.

mod compact;
mod decode;
mod dialect;
mod encode;
mod error_code;
mod list;
#[cfg(test)]
mod tests;

pub use compact::CompactAddress;
pub use dialect::{COMPACT_IPV4_LEN, COMPACT_IPV6_LEN, K, Method};
pub use encode::{EMPTY_RESPONSE_LEN, contact_len, empty_list_len};
pub use error_code::ErrorCode;
pub use list::{Contacts, ContactsIter, Values, ValuesIter};

use crate::id::Id;
use core::fmt;

/// Marks a query and all that answers it: 20 random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub [u8; TransactionId::LEN]);

impl TransactionId {
    /// Bytes in a transaction id. BitTorrent's nodes use other lengths; this keeps them out.
    pub const LEN: usize = 20;
}

/// One datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// Which query this is, or answers.
    pub transaction_id: TransactionId,
    /// What it says.
    pub body: Body<'a>,
}

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    /// A query, or the error that answers what looks like one.
    Query(Result<Query<'a>, ErrorCode>),
    /// A response; malformed where one of the values that we know has the wrong type or length,
    /// or a contact is no contact. That fails its sender.
    Response(Result<Response<'a>, MalformedResponse>),
    /// An error.
    Error(ErrorCode, &'a [u8]),
}

/// A response that fails its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedResponse;

impl fmt::Display for MalformedResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a response with a value of the wrong type or length")
    }
}

impl core::error::Error for MalformedResponse {}

/// A query: who asks, and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query<'a> {
    /// The querier's id.
    pub id: Id,
    /// What it asks for.
    pub call: Call<'a>,
}

/// A query's method and arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Are you there?
    Ping,
    /// The same, and where do you see me?
    Join,
    /// Who is closest to `target`? The response carries a token.
    FindNode {
        /// Any id.
        target: Id,
    },
    /// Who is closest to `key`, and how many values do you hold for it?
    FindValue {
        /// The values' key.
        key: Id,
    },
    /// Give me values.
    GetValue {
        /// The values' key.
        key: Id,
        /// How many: 0 for all, else a random choice. Never negative.
        num: i64,
    },
    /// Keep a value.
    StoreValue {
        /// The key to store under.
        key: Id,
        /// The value: opaque bytes.
        value: &'a [u8],
        /// From the answer to a `find_node` for the same key.
        token: &'a [u8],
    },
}

impl Call<'_> {
    /// The method's name.
    pub fn method(&self) -> Method {
        match self {
            Call::Ping => Method::Ping,
            Call::Join => Method::Join,
            Call::FindNode { .. } => Method::FindNode,
            Call::FindValue { .. } => Method::FindValue,
            Call::GetValue { .. } => Method::GetValue,
            Call::StoreValue { .. } => Method::StoreValue,
        }
    }
}

/// A response. Which fields are there depends on the query: see [`Response::answers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    /// The responder's id.
    pub id: Id,
    /// To `ping` and `join`: where the query came from. Not known in 2008.
    pub ip: Option<CompactAddress>,
    /// To `join`: where the query came from, as text.
    pub ip_addr: Option<&'a [u8]>,
    /// To `find_node` and `find_value`: contacts, closest first.
    pub nodes: Option<Contacts<'a>>,
    /// The same over IPv6. Not known in 2008.
    pub nodes6: Option<Contacts<'a>>,
    /// To `find_value`: how many values the responder holds.
    pub num: Option<i64>,
    /// To `join`: the port that the query came from.
    pub port: Option<u16>,
    /// To `find_node`: what a `store_value` must show.
    pub token: Option<&'a [u8]>,
    /// To `get_value`: values.
    pub values: Option<Values<'a>>,
}

impl Response<'_> {
    /// A response that says no more than who answers.
    pub const fn new(id: Id) -> Self {
        Response {
            id,
            ip: None,
            ip_addr: None,
            nodes: None,
            nodes6: None,
            num: None,
            port: None,
            token: None,
            values: None,
        }
    }

    /// Whether everything is there that an answer to `method` must have.
    ///
    /// A `find_node` response without token is complete: its sender stores nothing.
    pub fn answers(&self, method: Method) -> bool {
        match method {
            Method::Ping | Method::Join | Method::StoreValue => true,
            Method::FindNode => self.nodes.is_some(),
            Method::FindValue => self.nodes.is_some() && self.num.is_some(),
            Method::GetValue => self.values.is_some(),
        }
    }
}
