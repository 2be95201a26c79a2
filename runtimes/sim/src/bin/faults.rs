//! The table of [`khashmir_sim::fault`], as CSV.
//!
//!     cargo run --release -p khashmir-sim --bin faults -- 10000
//!     cargo run --release -p khashmir-sim --bin faults -- 100 1000 default KHASHMIR_2008

use khashmir_sim::fault::{Fault, Row, policies};
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let (sizes, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.bytes().all(|byte| byte.is_ascii_digit()));
    if let Some(name) = names.iter().find(|name| policies().iter().all(|(policy, _)| policy != name)) {
        return Err(format!("no policy is called {name}").into());
    }
    println!("{}", Row::COLUMNS);
    for size in sizes {
        let nodes = size.parse()?;
        for (policy, config) in policies() {
            if !names.is_empty() && names.iter().all(|name| name != policy) {
                continue;
            }
            for loss_percent in [0, 10, 30] {
                let config = config.clone();
                println!("{}", Fault { policy, config, nodes, loss_percent, values: 1000, seed: 1 }.run());
            }
        }
    }
    Ok(())
}
