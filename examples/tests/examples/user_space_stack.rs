//! Two nodes on a stack in user space.

use crate::lines;

#[test]
fn what_one_puts_the_other_gets() {
    let told = lines("user_space_stack", &[]);
    let has = |host: u8, what: &str| {
        let found = told.iter().any(|line| line.contains(&format!("host {host}: ")) && line.contains(what));
        assert!(found, "host {host}, {what}: {told:#?}");
    };
    has(1, "OutsideAddressChanged { addr: 10.0.0.2:9978 }");
    has(1, "JoinFinished { op: OpId(0), ending: Complete, contacts: 1 }");
    has(0, "ending: Complete, copies: 2 }");
    has(1, r#"value: b"through a stack of our own""#);
    assert_eq!(told, lines("user_space_stack", &[]), "there is no clock in it, and no chance");
}
