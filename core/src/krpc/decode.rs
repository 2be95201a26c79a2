//! From datagrams to messages.

use super::dialect::{COMPACT_IPV4_LEN, COMPACT_IPV6_LEN, Method};
use super::{
    Body, Call, CompactAddress, Contacts, ErrorCode, MalformedResponse, Message, Query, Response,
    TransactionId, Values,
};
use crate::bencode::{Bounds, DecodeError, Decoder, Fault};
use crate::id::Id;

impl<'a> Message<'a> {
    /// Reads one datagram. An error means that it is dropped without an answer: it is not
    /// canonical bencode within [`Bounds::DATAGRAM`], or not a message of this dialect.
    pub fn decode(datagram: &'a [u8]) -> Result<Message<'a>, DecodeError> {
        let mut decoder = Decoder::new(datagram, Bounds::DATAGRAM);
        let unexpected = |offset| DecodeError { fault: Fault::Unexpected, offset };
        let (mut arguments, mut error, mut method, mut response) = (None, None, None, None);
        let (mut transaction_id, mut kind) = (None, None);
        let mut keys = decoder.begin_dictionary()?;
        loop {
            if let Some(id) = decoder.known_entry(&mut keys, b"t", b"1:t20:") {
                transaction_id = Some(TransactionId(*id));
            }
            if let Some(letter) = decoder.known_entry::<1>(&mut keys, b"y", b"1:y1:") {
                kind = Some(&letter[..]);
            }
            let Some(key) = decoder.next_key(&mut keys)? else { break };
            match key {
                b"a" => arguments = Some(Arguments::decode(&mut decoder)?),
                b"e" => error = Some(decode_error(&mut decoder)?),
                b"q" => method = Some(decoder.bytes()?),
                b"r" => response = Some(decode_response(&mut decoder)?),
                b"t" => transaction_id = Some(TransactionId(decoder.array()?)),
                b"y" => kind = Some(decoder.bytes()?),
                _ => drop(decoder.skip()?),
            }
        }
        decoder.finish()?;
        let missing = unexpected(decoder.offset());
        let body = match kind.ok_or(missing)? {
            b"q" => {
                let arguments = arguments.ok_or(missing)?;
                Body::Query(match Method::from_name(method.ok_or(missing)?) {
                    Some(method) => arguments.typed(method).ok_or(ErrorCode::MalformedRequest),
                    None => Err(ErrorCode::MethodUnknown),
                })
            }
            b"r" => Body::Response(response.ok_or(missing)?),
            b"e" => {
                let (code, text) = error.ok_or(missing)?;
                Body::Error(code, text)
            }
            _ => return Err(missing),
        };
        Ok(Message { transaction_id: transaction_id.ok_or(missing)?, body })
    }
}

/// All arguments that any method takes, as far as they are there and of the right type.
#[derive(Default)]
struct Arguments<'a> {
    id: Option<&'a [u8; Id::LEN]>,
    key: Option<&'a [u8; Id::LEN]>,
    num: Option<i64>,
    target: Option<&'a [u8; Id::LEN]>,
    token: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    /// How many there are, known or not. One too many, or of the wrong type, shows in the count.
    count: usize,
}

impl<'a> Arguments<'a> {
    #[inline(always)]
    fn decode(decoder: &mut Decoder<'a>) -> Result<Arguments<'a>, DecodeError> {
        let mut arguments = Arguments::default();
        let mut keys = decoder.begin_dictionary()?;
        arguments.id = decoder.known_entry(&mut keys, b"id", b"2:id20:");
        arguments.key = decoder.known_entry(&mut keys, b"key", b"3:key20:");
        arguments.target = decoder.known_entry(&mut keys, b"target", b"6:target20:");
        let known = [arguments.id, arguments.key, arguments.target];
        arguments.count = known.iter().flatten().count();
        while let Some(key) = decoder.next_key(&mut keys)? {
            arguments.count += 1;
            match key {
                b"id" => arguments.id = array(decoder)?,
                b"key" => arguments.key = array(decoder)?,
                b"num" => arguments.num = decoder.integer_or_skip()?,
                b"target" => arguments.target = array(decoder)?,
                b"token" => arguments.token = decoder.bytes_or_skip()?,
                b"value" => arguments.value = decoder.bytes_or_skip()?,
                _ => drop(decoder.skip()?),
            }
        }
        Ok(arguments)
    }

    #[inline(always)]
    fn typed(&self, method: Method) -> Option<Query<'a>> {
        // Beside `id`. Since every one of them is required below, a larger count means an unknown one.
        let (count, call) = match method {
            Method::Ping => (0, Call::Ping),
            Method::Join => (0, Call::Join),
            Method::FindNode => (1, Call::FindNode { target: Id(*self.target?) }),
            Method::FindValue => (1, Call::FindValue { key: Id(*self.key?) }),
            Method::GetValue => {
                (2, Call::GetValue { key: Id(*self.key?), num: self.num.filter(|num| *num >= 0)? })
            }
            Method::StoreValue => {
                (3, Call::StoreValue { key: Id(*self.key?), value: self.value?, token: self.token? })
            }
        };
        let id = Id(*self.id?);
        (self.count == count + 1 && id != Id::ZERO).then_some(Query { id, call })
    }
}

#[inline(always)]
fn decode_error<'a>(decoder: &mut Decoder<'a>) -> Result<(ErrorCode, &'a [u8]), DecodeError> {
    let unexpected = DecodeError { fault: Fault::Unexpected, offset: decoder.offset() };
    decoder.begin_list()?;
    let code = if decoder.next_item()? { decoder.integer()? } else { return Err(unexpected) };
    let text = if decoder.next_item()? { decoder.bytes()? } else { return Err(unexpected) };
    if decoder.next_item()? {
        return Err(unexpected);
    }
    Ok((ErrorCode::from_code(code), text))
}

#[inline(always)]
fn decode_response<'a>(
    decoder: &mut Decoder<'a>,
) -> Result<Result<Response<'a>, MalformedResponse>, DecodeError> {
    let mut response = Response::new(Id::ZERO);
    // Each is read to its end in any case: the rest of the datagram has to be checked too.
    let mut well_formed = true;
    let mut keys = decoder.begin_dictionary()?;
    if let Some(id) = decoder.known_entry(&mut keys, b"id", b"2:id20:") {
        response.id = Id(*id);
    }
    while let Some(key) = decoder.next_key(&mut keys)? {
        well_formed &= match key {
            b"id" => keep(&mut response.id, array(decoder)?.map(|id| Id(*id))),
            b"ip" => {
                keep_some(&mut response.ip, decoder.bytes_or_skip()?.and_then(CompactAddress::from_slice))
            }
            b"ip_addr" => keep_some(&mut response.ip_addr, decoder.bytes_or_skip()?),
            b"nodes" => keep_some(&mut response.nodes, Contacts::decode(decoder, COMPACT_IPV4_LEN)?),
            b"nodes6" => keep_some(&mut response.nodes6, Contacts::decode(decoder, COMPACT_IPV6_LEN)?),
            b"num" => keep_some(&mut response.num, decoder.integer_or_skip()?),
            b"port" => keep_some(
                &mut response.port,
                decoder.integer_or_skip()?.and_then(|port| port.try_into().ok()),
            ),
            b"token" => keep_some(&mut response.token, decoder.bytes_or_skip()?),
            b"values" => keep_some(&mut response.values, Values::decode(decoder)?),
            _ => {
                decoder.skip()?;
                true
            }
        };
    }
    Ok(if well_formed && response.id != Id::ZERO { Ok(response) } else { Err(MalformedResponse) })
}

#[inline(always)]
fn keep<T>(slot: &mut T, read: Option<T>) -> bool {
    read.map(|value| *slot = value).is_some()
}

#[inline(always)]
fn keep_some<T>(slot: &mut Option<T>, read: Option<T>) -> bool {
    *slot = read;
    slot.is_some()
}

/// A byte string of `N` bytes; `None` if it is of another length, or another value.
#[inline(always)]
fn array<'a, const N: usize>(decoder: &mut Decoder<'a>) -> Result<Option<&'a [u8; N]>, DecodeError> {
    Ok(decoder.bytes_or_skip()?.and_then(|bytes| bytes.try_into().ok()))
}
