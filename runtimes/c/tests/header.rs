//! `khashmir.h` and the code say the same: a C compiler compares each size, offset, constant and
//! argument with what is in the Rust code.

#![allow(clippy::unwrap_used)]

use khashmir_c::*;
use std::collections::BTreeSet;
use std::ffi::c_char;
use std::fmt::Write as _;
use std::io::Write as _;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A type as C writes it.
trait InC {
    fn name() -> String;
}

macro_rules! names {
    ($($type:ty: $name:literal),* $(,)?) => {
        $(impl InC for $type {
            fn name() -> String {
                $name.to_owned()
            }
        })*
    };
}

names! {
    u8: "uint8_t", u32: "uint32_t", u64: "uint64_t", i32: "int32_t", usize: "size_t", c_char: "char", (): "void",
    Address: "khashmir_address", Network: "khashmir_network", Options: "khashmir_options",
    ContactInC: "khashmir_contact", EventInC: "khashmir_event", NodeInC: "khashmir_node",
}

impl<T: InC> InC for *const T {
    fn name() -> String {
        format!("const {} *", T::name())
    }
}

impl<T: InC> InC for *mut T {
    fn name() -> String {
        format!("{} *", T::name())
    }
}

macro_rules! functions {
    ($(($($argument:ident),*)),*) => {
        $(impl<Returned: InC, $($argument: InC),*> InC for unsafe extern "C" fn($($argument),*) -> Returned {
            fn name() -> String {
                let arguments: Vec<String> = vec![$($argument::name()),*];
                format!("{} (*)({})", Returned::name(), arguments.join(", "))
            }
        })*
    };
}

functions!((A), (A, B), (A, B, C), (A, B, C, D), (A, B, C, D, E), (A, B, C, D, E, F));

/// A C program that compiles if all is as it is here.
struct Program(String);

impl Program {
    fn holds(&mut self, condition: &str) {
        writeln!(self.0, "_Static_assert({condition}, \"{}\");", condition.replace('"', "'")).unwrap();
    }

    fn function<F: InC>(&mut self, name: &str, _: F) {
        self.holds(&format!("__builtin_types_compatible_p(__typeof__(&{name}), {})", F::name()));
    }

    fn constant(&mut self, name: &str, value: impl Into<i64>) {
        self.holds(&format!("{name} == {}", value.into()));
    }

    fn size<T: InC>(&mut self) {
        self.holds(&format!("sizeof({}) == {}", T::name(), size_of::<T>()));
        self.holds(&format!("_Alignof({}) == {}", T::name(), align_of::<T>()));
    }

    /// A field is where it is, and has that type (an array: that size).
    fn field<T: InC, F>(&mut self, name: &str, offset: usize, _: fn(&T) -> &F) {
        let of = T::name();
        self.holds(&format!("offsetof({of}, {name}) == {offset}"));
        self.holds(&format!("sizeof((({of} *)0)->{name}) == {}", size_of::<F>()));
    }

    /// Whether a C compiler takes it, and what it says.
    fn compiles(&self) -> Result<(), String> {
        let mut cc = Command::new("cc");
        cc.args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c", "-I"]);
        cc.arg(folder("include")).arg("-");
        let cc = cc.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut cc = cc.expect("a C compiler, cc, is needed");
        cc.stdin.take().unwrap().write_all(self.0.as_bytes()).unwrap();
        let output = cc.wait_with_output().unwrap();
        if output.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

macro_rules! compare {
    ($program:ident, constants: $($constant:ident),*) => {
        $($program.constant(stringify!($constant), i64::try_from($constant).unwrap());)*
    };
    ($program:ident, $type:ident { $($field:ident),* }) => {
        $program.size::<$type>();
        $($program.field(stringify!($field), offset_of!($type, $field), |of: &$type| &of.$field);)*
        // All fields are named.
        let _all = |of: $type| { let $type { $($field: _),* } = of; };
    };
    ($program:ident, functions: $($function:ident as $type:ty),* $(,)?) => {
        $($program.function(stringify!($function), $function as $type);)*
        const FUNCTIONS: &[&str] = &[$(stringify!($function)),*];
    };
}

fn comparison() -> (Program, &'static [&'static str]) {
    let mut program = Program("#include \"khashmir.h\"\n".to_owned());
    compare!(program, constants: KHASHMIR_IPV4, KHASHMIR_IPV6);
    compare!(program, constants: KHASHMIR_ID_LEN, KHASHMIR_SEED_LEN, KHASHMIR_MAX_VALUE, KHASHMIR_MAX_DATAGRAM);
    compare!(program, constants: KHASHMIR_OTHER, KHASHMIR_VALUE_FOUND, KHASHMIR_PING_FINISHED,
        KHASHMIR_FIND_NODE_FINISHED, KHASHMIR_GET_FINISHED, KHASHMIR_PUT_FINISHED, KHASHMIR_JOIN_FINISHED,
        KHASHMIR_OUTSIDE_ADDRESS_CHANGED, KHASHMIR_CHECKPOINT_PASSED);
    compare!(program, constants: KHASHMIR_COMPLETE, KHASHMIR_OUT_OF_TIME, KHASHMIR_CANCELLED,
        KHASHMIR_BAD_ANSWER, KHASHMIR_BUSY);
    for error in Error::ALL {
        // TooManyOperations is TOO_MANY_OPERATIONS there.
        let mut name = "KHASHMIR_ERROR".to_owned();
        for letter in format!("{error:?}").chars() {
            if letter.is_uppercase() {
                name.push('_');
            }
            name.push(letter.to_ascii_uppercase());
        }
        program.constant(&name, error as i32);
    }
    compare!(program, Address { ip, port, family });
    compare!(program, Network { ip, family, prefix });
    compare!(program, Options { local_networks, local_networks_len, families });
    compare!(program, ContactInC { id, address });
    compare!(
        program,
        EventInC {
            kind,
            ending,
            operation,
            count,
            round_trip,
            value,
            value_len,
            contacts,
            contacts_len,
            address
        }
    );
    compare!(program, functions:
        khashmir_error_text as unsafe extern "C" fn(_) -> _,
        khashmir_node_new as unsafe extern "C" fn(_, _, _, _) -> _,
        khashmir_node_free as unsafe extern "C" fn(_) -> _,
        khashmir_node_id as unsafe extern "C" fn(_, _) -> _,
        khashmir_handle_datagram as unsafe extern "C" fn(_, _, _, _, _) -> _,
        khashmir_handle_unreachable as unsafe extern "C" fn(_, _, _) -> _,
        khashmir_handle_timeout as unsafe extern "C" fn(_, _) -> _,
        khashmir_poll_transmit as unsafe extern "C" fn(_, _, _, _, _) -> _,
        khashmir_poll_timeout as unsafe extern "C" fn(_, _) -> _,
        khashmir_join as unsafe extern "C" fn(_, _, _, _, _) -> _,
        khashmir_ping as unsafe extern "C" fn(_, _, _, _) -> _,
        khashmir_find_node as unsafe extern "C" fn(_, _, _, _) -> _,
        khashmir_get as unsafe extern "C" fn(_, _, _, _, _) -> _,
        khashmir_put as unsafe extern "C" fn(_, _, _, _, _, _) -> _,
        khashmir_publish as unsafe extern "C" fn(_, _, _, _, _, _) -> _,
        khashmir_unpublish as unsafe extern "C" fn(_, _, _, _, _) -> _,
        khashmir_cancel as unsafe extern "C" fn(_, _, _) -> _,
        khashmir_poll_event as unsafe extern "C" fn(_, _) -> _,
    );
    (program, FUNCTIONS)
}

#[test]
fn the_header_is_what_the_code_is() {
    let (program, _) = comparison();
    if let Err(complaint) = program.compiles() {
        panic!("{complaint}");
    }
}

#[test]
fn a_header_that_is_otherwise_is_noticed() {
    let (program, _) = comparison();
    for (from, to) in [
        ("KHASHMIR_BUSY == 4", "KHASHMIR_BUSY == 5"),
        ("offsetof(khashmir_address, family) == 18", "offsetof(khashmir_address, family) == 19"),
        ("const khashmir_address *, const uint8_t *", "const khashmir_address *, uint8_t *"),
    ] {
        assert!(program.0.contains(from), "{}", program.0);
        assert!(Program(program.0.replace(from, to)).compiles().is_err(), "{to}");
    }
}

/// The names that follow `before`, letters, digits and underscores.
fn names(text: &str, before: &str) -> BTreeSet<String> {
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let found = text.match_indices(before).map(|(at, _)| &text[at + before.len()..]);
    found.map(|rest| rest.split(ends).next().unwrap().to_owned()).collect()
}

#[test]
fn nothing_is_missing_on_either_side() {
    let (program, compared) = comparison();
    let compared: BTreeSet<String> = compared.iter().map(|name| (*name).to_owned()).collect();
    let mut exported = BTreeSet::new();
    for file in std::fs::read_dir(folder("src")).unwrap() {
        exported.extend(names(&std::fs::read_to_string(file.unwrap().path()).unwrap(), "extern \"C\" fn "));
    }
    assert_eq!(exported, compared);
    let header = std::fs::read_to_string(folder("include/khashmir.h")).unwrap();
    let declared: BTreeSet<String> = names(&header, "\nint32_t ");
    let others = ["khashmir_error_text", "khashmir_node_free"].map(str::to_owned);
    assert_eq!(&declared | &others.into(), compared);
    let constants = names(&header, "    KHASHMIR_").into_iter().chain(names(&header, ", KHASHMIR_"));
    for constant in constants {
        assert!(program.0.contains(&format!("KHASHMIR_{constant} == ")), "{constant} is not compared");
    }
}
