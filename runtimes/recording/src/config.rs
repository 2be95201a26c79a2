//! A whole configuration as bencode: dictionaries with the names of the fields.

use crate::travel::{Travel, unexpected};
use bytes::BytesMut;
use khashmir::Config;
use khashmir::bencode::{DecodeError, Decoder, Encoder};
use khashmir::config::{Limits, LookupPolicy, Retransmission, Upkeep};
use std::collections::BTreeMap;

/// A field that is missing stays as it is, which is its default: a recording made before a knob was
/// there is read as it was. One that is not known is refused, for it cannot be honoured.
macro_rules! dictionary {
    ($type:ident { $($field:ident),* $(,)? }) => {
        impl Travel for $type {
            fn write(&self, out: &mut BytesMut) {
                // Without `..`: a new field does not compile until it travels, too.
                let $type { $($field),* } = self;
                let fields = BTreeMap::from([$((stringify!($field), encoded($field))),*]);
                let mut encoder = Encoder::new(out);
                encoder.begin_dictionary();
                for (name, value) in fields {
                    encoder.bytes(name.as_bytes()).raw(&value);
                }
                encoder.end();
            }

            fn read(&mut self, decoder: &mut Decoder<'_>) -> Result<(), DecodeError> {
                let mut keys = decoder.begin_dictionary()?;
                while let Some(name) = decoder.next_key(&mut keys)? {
                    $(if name == stringify!($field).as_bytes() {
                        self.$field.read(decoder)?;
                        continue;
                    })*
                    return Err(unexpected(decoder));
                }
                Ok(())
            }
        }
    };
}

fn encoded(value: &impl Travel) -> BytesMut {
    let mut out = BytesMut::new();
    value.write(&mut out);
    out
}

dictionary!(Config {
    version,
    address_families,
    local_networks,
    uncounted_networks,
    lookup,
    store_copies,
    get_answers,
    get_rounds,
    early_values,
    accept_stores,
    upkeep,
    limits,
});

dictionary!(LookupPolicy {
    parallelism,
    retransmission,
    admission,
    leap_frog,
    abort_early,
    re_ping,
    opening,
    patience,
    enough,
    prefer_sound,
});

dictionary!(Retransmission { resend_after, fail_after, soonest, soonest_failure });

dictionary!(Upkeep {
    checkpoint_interval,
    checkpoint_jitter_percent,
    first_checkpoint_after,
    refresh_after,
    reping_after,
    stale_after,
    max_failures,
    nat_timeout,
    value_lifetime,
    republish_after,
    republish_soonest,
    republish_spacing,
    rejoin_after,
});

dictionary!(Limits {
    datagram_ipv4,
    datagram_ipv6,
    amplification,
    proof_lifetime,
    proved_addresses,
    waiting_for_proof,
    contacts_per_response,
    lookup_queries,
    lookup_duration,
    closest_per_prefix,
    counted_networks_lifted,
    value_len,
    values_per_key,
    values_per_key_and_source,
    store_bytes,
    queries_per_second_and_source,
    queries_per_second,
    query_burst_seconds,
    query_sources,
    transactions,
    pings,
    outbox_datagrams,
    progress_events,
    operations,
    publications,
    outside_votes,
});
