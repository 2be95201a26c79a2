//! Keys, tokens, claims, pieces and paths.

use crate::files::{Outcome, bytes, expect, parse};
use crate::script::{id, node_with_id};
use bytes::BytesMut;
use khashmir::claim::{
    Claim, ClaimKey, PieceHasher, PieceHashes, PieceHashesRef, Tier, decode_path, encode_path, file_key,
    piece_count, piece_range, v6_key,
};
use khashmir::krpc::{Body, Call, Message, Query, TransactionId};
use khashmir::rng::{Purpose, Rng};
use khashmir::{Config, Id, Instant, Node};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::{Digest, Sha1};
use std::net::{IpAddr, SocketAddr};

pub fn key(vector: &Value) -> Outcome {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "sentence")]
        _sentence: String,
        kind: String,
        of: String,
        to: Option<String>,
        among: Option<Vec<String>>,
        is: Value,
    }
    let vector: Vector = parse(vector)?;
    let is = match &vector.kind[..] {
        "file" => file_key(&bytes(&vector.of)?).to_string().into(),
        "ipv6" => v6_key(&id(&vector.of)?).to_string().into(),
        "join" => join_target(id(&vector.of)?)?.to_string().into(),
        "distance" => {
            let (a, b) = (id(&vector.of)?, id(&vector.to.ok_or("to whom?")?)?);
            let is = vector.is.as_str().map(id).transpose()?.ok_or("no distance")?;
            return expect("is", &is.distance(&Id::ZERO), &a.distance(&b));
        }
        "closest" => {
            let target = id(&vector.of)?;
            let mut ids =
                vector.among.unwrap_or_default().iter().map(|hex| id(hex)).collect::<Result<Vec<_>, _>>()?;
            ids.sort_by_key(|id| id.distance(&target));
            ids.iter().map(Id::to_string).collect()
        }
        kind => return Err(format!("no kind: {kind}")),
    };
    expect("is", &is, &vector.is)
}

/// What a node of this id looks up when a bootstrap contact has answered it.
fn join_target(own_id: Id) -> Result<Id, String> {
    let bootstrap: SocketAddr = ([198, 41, 0, 4], 9978).into();
    let mut node = node_with_id(Config::default(), own_id)?;
    node.join(Instant::ORIGIN, &[bootstrap]).map_err(|error| error.to_string())?;
    let mut datagram = BytesMut::new();
    node.poll_transmit(&mut datagram).ok_or("it asks nobody")?;
    let t = Message::decode(&datagram).map_err(|error| error.to_string())?.transaction_id;
    let mut answer = BytesMut::new();
    khashmir::krpc::Response::new(Id([1; 20])).encode(t, &mut answer);
    node.handle_datagram(Instant::ORIGIN, bootstrap, &answer);
    datagram.clear();
    node.poll_transmit(&mut datagram).ok_or("it looks nothing up")?;
    match Message::decode(&datagram).map(|message| message.body) {
        Ok(Body::Query(Ok(Query { call: Call::FindNode { target }, .. }))) => Ok(target),
        other => Err(format!("{other:?}")),
    }
}

pub fn token(vector: &Value) -> Outcome {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "sentence")]
        _sentence: String,
        form: String,
        secret: String,
        ip: IpAddr,
        key: String,
        token: String,
    }
    let vector: Vector = parse(vector)?;
    let (secret, key) = (bytes(&vector.secret)?, id(&vector.key)?);
    match &vector.form[..] {
        // Nothing here gives or takes these, but the formula is told.
        "2008" => {
            let token = Sha1::new_with_prefix(secret).chain_update(vector.ip.to_string()).finalize();
            expect("token", &hex::encode(token), &vector.token)
        }
        "ours" => {
            // A node takes no secret from outside: what it gives is held against the same formula,
            // under the secret that its seed makes.
            expect("token", &hex::encode(formula(&secret, &vector.ip, &key)), &vector.token)?;
            let seed = [7; 32];
            let own_secret: [u8; 20] = Rng::new(seed, Purpose::TokenSecret).bytes();
            let given = given_token(seed, vector.ip, key)?;
            expect("the node's", &hex::encode(given), &hex::encode(formula(&own_secret, &vector.ip, &key)))
        }
        form => Err(format!("no form: {form}")),
    }
}

fn formula(secret: &[u8], ip: &IpAddr, key: &Id) -> Vec<u8> {
    let ip = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    Sha1::new_with_prefix(secret).chain_update(ip).chain_update(key).finalize()[..8].to_vec()
}

fn given_token(seed: [u8; 32], ip: IpAddr, key: Id) -> Result<Vec<u8>, String> {
    let mut node = Node::new(Config::default(), seed, Instant::ORIGIN).map_err(|error| error.to_string())?;
    let mut datagram = BytesMut::new();
    let query = Query { id: Id([1; 20]), call: Call::FindNode { target: key } };
    query.encode(TransactionId([2; 20]), &mut datagram);
    node.handle_datagram(Instant::ORIGIN, (ip, 9978).into(), &datagram);
    loop {
        datagram.clear();
        node.poll_transmit(&mut datagram).ok_or("no answer")?;
        if let Ok(Message { body: Body::Response(Ok(response)), .. }) = Message::decode(&datagram) {
            return response.token.map(<[u8]>::to_vec).ok_or_else(|| "no token".to_owned());
        }
    }
}

pub fn claim(vector: &Value) -> Outcome {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "sentence")]
        _sentence: String,
        key: String,
        hex: String,
        claim: Value,
    }
    let vector: Vector = parse(vector)?;
    let key = match &vector.key[..] {
        "file" => ClaimKey::File,
        "ipv6" => ClaimKey::FileV6,
        key => return Err(format!("no key: {key}")),
    };
    let value = bytes(&vector.hex)?;
    let claim = Claim::decode(&value, key).ok();
    expect("claim", &claim.as_ref().map_or(Value::Null, shown_claim), &vector.claim)?;
    let Some(claim) = claim else { return Ok(()) };
    let again = Claim::decode(&claim.encode(), key).map_err(|error| error.to_string())?;
    expect("written and read", &again, &claim)
}

fn shown_claim(claim: &Claim) -> Value {
    let mut shown = json!({});
    if let Some(v4) = claim.v4 {
        shown["c"] = v4.to_string().into();
    }
    if let Some(v6) = claim.v6 {
        shown["c6"] = v6.to_string().into();
    }
    match &claim.pieces {
        PieceHashesRef::None => {}
        PieceHashesRef::Inline(hashes) => shown["t"] = joined(hashes).into(),
        PieceHashesRef::Dht(sha1) => shown["h"] = hex::encode(sha1).into(),
        PieceHashesRef::Peers(sha1) => shown["l"] = hex::encode(sha1).into(),
    }
    shown
}

fn joined(hashes: &PieceHashes) -> String {
    hex::encode(hashes.as_slice().as_flattened())
}

pub fn pieces(vector: &Value) -> Outcome {
    #[derive(Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Vector {
        Tier { size: u64, pieces: u64, tier: String, last: [u64; 2] },
        File { repeated: String, size: usize, hashes: String, sha1: String },
        Hashes { hex: String, hashes: Option<String>, sha1: Option<String> },
    }
    match parse(vector)? {
        Vector::Tier { size, pieces, tier, last } => {
            let count = piece_count(size);
            expect("pieces", &count, &pieces)?;
            let is = match Tier::for_pieces(count) {
                Tier::None => "none",
                Tier::Inline => "t",
                Tier::Dht => "h",
                Tier::Peers => "l",
            };
            expect("tier", &is, &&tier[..])?;
            let range = piece_range(size, count - 1);
            expect("last", &[range.start, range.end], &last)
        }
        Vector::File { repeated, size, hashes, sha1 } => {
            let file: Vec<u8> = bytes(&repeated)?.into_iter().cycle().take(size).collect();
            let mut hasher = PieceHasher::new();
            // In parts that do not end where pieces do.
            file.chunks(100_003).for_each(|part| hasher.update(part));
            let ours = hasher.finish();
            expect("hashes", &joined(&ours), &hashes)?;
            expect("sha1", &hex::encode(ours.sha1()), &sha1)
        }
        Vector::Hashes { hex, hashes, sha1 } => {
            let ours = PieceHashes::decode(&bytes(&hex)?).ok();
            expect("hashes", &ours.as_ref().map(joined), &hashes)?;
            expect("sha1", &ours.map(|ours| hex::encode(ours.sha1())), &sha1)
        }
    }
}

pub fn path(vector: &Value) -> Outcome {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Vector {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "sentence")]
        _sentence: String,
        path: String,
        hash: Option<String>,
        written: bool,
    }
    let vector: Vector = parse(vector)?;
    let hash = decode_path(vector.path.as_bytes()).ok();
    expect("hash", &hash.as_ref().map(hex::encode), &vector.hash)?;
    expect("written", &hash.is_some_and(|hash| encode_path(&hash) == vector.path), &vector.written)
}
