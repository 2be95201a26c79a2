//! `bendy`, by its own decoder and encoder, which are leaner than its serde.

use super::Codec;
use super::fields::{Answer, Arguments, Datagram};
use bendy::decoding::{Decoder, DictDecoder, Error, ListDecoder, Object};
use bendy::encoding::{self, Encoder, SingleItemEncoder, SortedDictEncoder};

pub struct Bendy;

type Bytes<'a> = &'a [u8];

impl Codec for Bendy {
    const NAME: &str = "bendy";
    type Message<'a> = Datagram<Bytes<'a>>;
    type Error = Error;
    type Written<'a> = Datagram<Bytes<'a>>;
    type Buffer = Vec<u8>;

    fn decode(datagram: &[u8]) -> Result<Datagram<Bytes<'_>>, Error> {
        let mut decoder = Decoder::new(datagram);
        let object = decoder.next_object()?.ok_or_else(|| Error::missing_field("message"))?;
        read(object.try_into_dictionary()?)
    }

    fn prepare(message: Self::Message<'_>) -> Option<Self::Written<'_>> {
        Some(message)
    }

    fn encode(message: &Datagram<Bytes<'_>>, out: &mut Vec<u8>) {
        let mut encoder = Encoder::new().with_max_depth(4);
        encoder.emit_dict(|dict| write(message, dict)).expect("keys are sorted");
        *out = encoder.get_output().expect("all is closed");
    }

    fn buffer() -> Vec<u8> {
        Vec::new()
    }
}

fn read<'a>(mut dict: DictDecoder<'_, 'a>) -> Result<Datagram<Bytes<'a>>, Error> {
    let (mut a, mut e, mut q, mut r, mut t, mut y) = (None, None, None, None, None, None);
    while let Some((key, value)) = dict.next_pair()? {
        match key {
            b"a" => a = Some(arguments(value.try_into_dictionary()?)?),
            b"e" => e = Some(error(value.try_into_list()?)?),
            b"q" => q = Some(value.try_into_bytes()?),
            b"r" => r = Some(answer(value.try_into_dictionary()?)?),
            b"t" => t = Some(value.try_into_bytes()?),
            b"y" => y = Some(value.try_into_bytes()?),
            _ => {}
        }
    }
    let t = t.ok_or_else(|| Error::missing_field("t"))?;
    Ok(Datagram { a, e, q, r, t, y: y.ok_or_else(|| Error::missing_field("y"))? })
}

fn arguments<'a>(mut dict: DictDecoder<'_, 'a>) -> Result<Arguments<Bytes<'a>>, Error> {
    let mut id = None;
    let mut found = Arguments { id: &[][..], key: None, num: None, target: None, token: None, value: None };
    while let Some((name, value)) = dict.next_pair()? {
        match name {
            b"id" => id = Some(value.try_into_bytes()?),
            b"key" => found.key = Some(value.try_into_bytes()?),
            b"num" => found.num = Some(integer(value)?),
            b"target" => found.target = Some(value.try_into_bytes()?),
            b"token" => found.token = Some(value.try_into_bytes()?),
            b"value" => found.value = Some(value.try_into_bytes()?),
            _ => {}
        }
    }
    Ok(Arguments { id: id.ok_or_else(|| Error::missing_field("id"))?, ..found })
}

fn answer<'a>(mut dict: DictDecoder<'_, 'a>) -> Result<Answer<Bytes<'a>>, Error> {
    let (mut id, mut ip_addr, mut nodes, mut num) = (None, None, None, None);
    let (mut port, mut token, mut values) = (None, None, None);
    while let Some((key, value)) = dict.next_pair()? {
        match key {
            b"id" => id = Some(value.try_into_bytes()?),
            b"ip_addr" => ip_addr = Some(value.try_into_bytes()?),
            b"nodes" => nodes = Some(byte_strings(value.try_into_list()?)?),
            b"num" => num = Some(integer(value)?),
            b"port" => port = Some(integer(value)?),
            b"token" => token = Some(value.try_into_bytes()?),
            b"values" => values = Some(byte_strings(value.try_into_list()?)?),
            _ => {}
        }
    }
    let id = id.ok_or_else(|| Error::missing_field("id"))?;
    Ok(Answer { id, ip_addr, nodes, num, port, token, values })
}

fn error<'a>(mut list: ListDecoder<'_, 'a>) -> Result<(i64, Bytes<'a>), Error> {
    let code = integer(list.next_object()?.ok_or_else(|| Error::missing_field("code"))?)?;
    let text = list.next_object()?.ok_or_else(|| Error::missing_field("text"))?;
    Ok((code, text.try_into_bytes()?))
}

fn byte_strings<'a>(mut list: ListDecoder<'_, 'a>) -> Result<Vec<Bytes<'a>>, Error> {
    let mut items = Vec::new();
    while let Some(item) = list.next_object()? {
        items.push(item.try_into_bytes()?);
    }
    Ok(items)
}

fn integer(object: Object<'_, '_>) -> Result<i64, Error> {
    object.try_into_integer()?.parse().map_err(Error::malformed_content)
}

type Written = Result<(), encoding::Error>;

fn write(message: &Datagram<Bytes<'_>>, mut dict: SortedDictEncoder<'_>) -> Written {
    if let Some(a) = &message.a {
        dict.emit_pair_with(b"a", |item| item.emit_dict(|dict| write_arguments(a, dict)))?;
    }
    if let Some((code, text)) = message.e {
        let list = |list: &mut Encoder| {
            list.emit_int(code)?;
            list.emit_bytes(text)
        };
        dict.emit_pair_with(b"e", |item| item.emit_list(list))?;
    }
    bytes(&mut dict, b"q", message.q)?;
    if let Some(r) = &message.r {
        dict.emit_pair_with(b"r", |item| item.emit_dict(|dict| write_answer(r, dict)))?;
    }
    bytes(&mut dict, b"t", Some(message.t))?;
    bytes(&mut dict, b"y", Some(message.y))
}

fn write_arguments(a: &Arguments<Bytes<'_>>, mut dict: SortedDictEncoder<'_>) -> Written {
    bytes(&mut dict, b"id", Some(a.id))?;
    bytes(&mut dict, b"key", a.key)?;
    a.num.map_or(Ok(()), |num| dict.emit_pair(b"num", num))?;
    bytes(&mut dict, b"target", a.target)?;
    bytes(&mut dict, b"token", a.token)?;
    bytes(&mut dict, b"value", a.value)
}

fn write_answer(r: &Answer<Bytes<'_>>, mut dict: SortedDictEncoder<'_>) -> Written {
    bytes(&mut dict, b"id", Some(r.id))?;
    bytes(&mut dict, b"ip_addr", r.ip_addr)?;
    list(&mut dict, b"nodes", r.nodes.as_deref())?;
    r.num.map_or(Ok(()), |num| dict.emit_pair(b"num", num))?;
    r.port.map_or(Ok(()), |port| dict.emit_pair(b"port", port))?;
    bytes(&mut dict, b"token", r.token)?;
    list(&mut dict, b"values", r.values.as_deref())
}

fn bytes(dict: &mut SortedDictEncoder<'_>, key: &[u8], value: Option<Bytes<'_>>) -> Written {
    let emit = |value| dict.emit_pair_with(key, |item: SingleItemEncoder<'_>| item.emit_bytes(value));
    value.map_or(Ok(()), emit)
}

fn list(dict: &mut SortedDictEncoder<'_>, key: &[u8], items: Option<&[Bytes<'_>]>) -> Written {
    let Some(items) = items else { return Ok(()) };
    dict.emit_pair_with(key, |item| {
        item.emit_list(|list| items.iter().try_for_each(|value| list.emit_bytes(value)))
    })
}
