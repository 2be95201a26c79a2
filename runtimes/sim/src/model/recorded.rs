//! What the code of 2008 achieved.

use super::Times;
use serde_json::Value;

/// One run of the 2008 code in a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// The model's name.
    pub model: String,
    /// The name of the lookup policy.
    pub policy: String,
    /// Slow nodes that were drawn.
    pub slow_nodes: usize,
    /// Nodes that knew nobody at the end.
    pub never_joined: usize,
    /// Datagrams that all nodes sent.
    pub datagrams: u64,
    /// Of each node's own mean: mean, median and 90th percentile, in seconds.
    pub all: Times,
    /// Share of the nodes whose own mean falls into each second; the last bin has all that is longer.
    pub share_per_second: Vec<f64>,
    /// Of the lookups of nodes that are not slow, in seconds.
    pub healthy: Times,
    /// Contacts in a routing table at the end.
    pub contacts: f64,
    /// Share of those that are slow or behind a NAT.
    pub bad_share: f64,
}

const RECORDED: &str =
    include_str!("../../../../conformance/vectors/recordings/khashmir-2008-in-models.json");

/// All runs of the 2008 code in the models that were recorded.
///
/// Panics if the file that they come from is not what it should be.
pub fn figures_of_2008() -> Vec<Recorded> {
    let rows: Vec<Value> = serde_json::from_str(RECORDED).expect("the recorded figures are JSON");
    rows.iter().map(recorded).collect()
}

fn recorded(row: &Value) -> Recorded {
    let number = |path: &str| {
        let value = row.pointer(path).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("no number {path} in the recorded figures"))
    };
    let bins = row.pointer("/all_nodes/node_means_per_1s_bin").and_then(Value::as_array);
    let text = |path: &str| row.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    Recorded {
        model: text("/model"),
        policy: text("/policy"),
        slow_nodes: number("/slow_nodes") as usize,
        never_joined: number("/never_joined") as usize,
        datagrams: number("/datagrams") as u64,
        all: Times {
            mean: number("/all_nodes/mean_of_node_means_s"),
            p50: number("/all_nodes/median_of_node_means_s"),
            p90: number("/all_nodes/p90_of_node_means_s"),
            p99: f64::NAN,
        },
        share_per_second: bins.into_iter().flatten().filter_map(Value::as_f64).collect(),
        healthy: Times {
            mean: number("/healthy/mean_s"),
            p50: number("/healthy/p50_s"),
            p90: number("/healthy/p90_s"),
            p99: number("/healthy/p99_s"),
        },
        contacts: number("/contacts_per_table"),
        bad_share: number("/unreachable_or_slow_share_of_contacts"),
    }
}
