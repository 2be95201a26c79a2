//! What belongs to this dialect of KRPC alone: names, counts and lengths on the wire.

/// Contacts in a response, and in a bucket.
pub const K: usize = 8;

/// Bytes of a contact: id, IPv4 address, port.
pub const COMPACT_IPV4_LEN: usize = 26;

/// Bytes of a contact: id, IPv6 address, port.
pub const COMPACT_IPV6_LEN: usize = 38;

/// The six queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `ping`
    Ping,
    /// `join`
    Join,
    /// `find_node`
    FindNode,
    /// `find_value`
    FindValue,
    /// `get_value`
    GetValue,
    /// `store_value`
    StoreValue,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 6] = [
        Method::Ping,
        Method::Join,
        Method::FindNode,
        Method::FindValue,
        Method::GetValue,
        Method::StoreValue,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static [u8] {
        match self {
            Method::Ping => b"ping",
            Method::Join => b"join",
            Method::FindNode => b"find_node",
            Method::FindValue => b"find_value",
            Method::GetValue => b"get_value",
            Method::StoreValue => b"store_value",
        }
    }

    #[inline(always)]
    pub(super) fn from_name(name: &[u8]) -> Option<Method> {
        match name {
            b"ping" => Some(Method::Ping),
            b"join" => Some(Method::Join),
            b"find_node" => Some(Method::FindNode),
            b"find_value" => Some(Method::FindValue),
            b"get_value" => Some(Method::GetValue),
            b"store_value" => Some(Method::StoreValue),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_names_of_their_own() {
        for method in Method::ALL {
            assert_eq!(Method::from_name(method.name()), Some(method));
        }
        assert_eq!(Method::from_name(b"pong"), None);
    }
}
