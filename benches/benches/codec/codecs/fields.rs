//! The fields that messages have, in structs for other people's crates.

use serde::{Deserialize, Serialize};

/// A datagram, with byte strings as `B`.
#[derive(Deserialize, Serialize)]
pub struct Datagram<B> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Arguments<B>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<(i64, B)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub q: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r: Option<Answer<B>>,
    pub t: B,
    pub y: B,
}

#[derive(Deserialize, Serialize)]
pub struct Arguments<B> {
    pub id: B,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<B>,
}

#[derive(Deserialize, Serialize)]
pub struct Answer<B> {
    pub id: B,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip_addr: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<B>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<B>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<B>>,
}
