//! Lists in messages: of contacts and of values, checked on the way in.
//!
//! Each is either a slice that we are about to send or the bytes of a list that
//! the decoder has checked to its end. Nothing is copied to read either.

use super::compact::{read_contact, write_contact};
use super::dialect::COMPACT_IPV6_LEN;
use crate::bencode::{ByteStrings, DecodeError, Decoder, Encoder, Kind, bytes_len};
use crate::id::Contact;

/// A list of contacts.
#[derive(Clone, Copy, Debug)]
pub struct Contacts<'a>(Source<'a, Contact>);

/// A list of values.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a>(Source<'a, &'a [u8]>);

#[derive(Clone, Copy, Debug)]
enum Source<'a, T> {
    Slice(&'a [T]),
    /// `len` byte strings, encoded.
    Wire {
        items: &'a [u8],
        len: usize,
    },
}

impl<'a, T> Source<'a, T> {
    /// Reads a list of byte strings that `check` is content with; `None` if it is anything else.
    #[inline(always)]
    fn decode(
        decoder: &mut Decoder<'a>,
        check: impl Fn(&[u8]) -> bool,
    ) -> Result<Option<Source<'a, T>>, DecodeError> {
        if decoder.kind()? != Kind::List {
            return decoder.skip().map(|_| None);
        }
        decoder.begin_list()?;
        let start = decoder.rest();
        let (mut len, mut good) = (0, true);
        while decoder.next_item()? {
            len += 1;
            good &= decoder.bytes_or_skip()?.is_some_and(&check);
        }
        let end = start.len() - decoder.rest().len() - b"e".len();
        Ok(good.then_some(Source::Wire { items: &start[..end], len }))
    }

    fn len(&self) -> usize {
        match self {
            Source::Slice(slice) => slice.len(),
            Source::Wire { len, .. } => *len,
        }
    }

    fn iter(&self) -> SourceIter<'a, T> {
        match *self {
            Source::Slice(slice) => SourceIter::Slice(slice.iter()),
            Source::Wire { items, .. } => SourceIter::Wire(ByteStrings::new(items)),
        }
    }
}

#[derive(Clone, Debug)]
enum SourceIter<'a, T> {
    Slice(core::slice::Iter<'a, T>),
    Wire(ByteStrings<'a>),
}

impl<'a> Contacts<'a> {
    /// The contacts to send, which must all be of one address family.
    pub fn new(contacts: &'a [Contact]) -> Contacts<'a> {
        Contacts(Source::Slice(contacts))
    }

    /// Reads a list of byte strings of `compact_len` each; `None` if it is anything else.
    #[inline(always)]
    pub(super) fn decode(
        decoder: &mut Decoder<'a>,
        compact_len: usize,
    ) -> Result<Option<Contacts<'a>>, DecodeError> {
        Ok(Source::decode(decoder, |item| item.len() == compact_len)?.map(Contacts))
    }

    pub(super) fn encode(&self, encoder: &mut Encoder<'_>) {
        encoder.begin_list();
        match self.0 {
            Source::Slice(contacts) => {
                encoder.reserve(contacts.len() * bytes_len(COMPACT_IPV6_LEN));
                contacts.iter().for_each(|contact| write_contact(contact, encoder));
            }
            Source::Wire { items, .. } => drop(encoder.raw(items)),
        }
        encoder.end();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The contacts, in the order of the list.
    pub fn iter(&self) -> ContactsIter<'a> {
        ContactsIter(self.0.iter())
    }
}

impl<'a> Values<'a> {
    /// The values to send.
    pub fn new(values: &'a [&'a [u8]]) -> Values<'a> {
        Values(Source::Slice(values))
    }

    /// Reads a list of byte strings; `None` if it is anything else.
    #[inline(always)]
    pub(super) fn decode(decoder: &mut Decoder<'a>) -> Result<Option<Values<'a>>, DecodeError> {
        Ok(Source::decode(decoder, |_| true)?.map(Values))
    }

    pub(super) fn encode(&self, encoder: &mut Encoder<'_>) {
        encoder.begin_list();
        match self.0 {
            Source::Slice(values) => encoder.byte_strings(values),
            Source::Wire { items, .. } => encoder.raw(items),
        };
        encoder.end();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values, in the order of the list.
    pub fn iter(&self) -> ValuesIter<'a> {
        ValuesIter(self.0.iter())
    }
}

/// Iterates over [`Contacts`].
#[derive(Clone, Debug)]
pub struct ContactsIter<'a>(SourceIter<'a, Contact>);

/// Iterates over [`Values`].
#[derive(Clone, Debug)]
pub struct ValuesIter<'a>(SourceIter<'a, &'a [u8]>);

impl Iterator for ContactsIter<'_> {
    type Item = Contact;

    fn next(&mut self) -> Option<Contact> {
        match &mut self.0 {
            SourceIter::Slice(slice) => slice.next().copied(),
            SourceIter::Wire(items) => items.next().and_then(read_contact),
        }
    }
}

impl<'a> Iterator for ValuesIter<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        match &mut self.0 {
            SourceIter::Slice(slice) => slice.next().copied(),
            SourceIter::Wire(items) => items.next(),
        }
    }
}

impl PartialEq for Contacts<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Contacts<'_> {}

impl PartialEq for Values<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Values<'_> {}
