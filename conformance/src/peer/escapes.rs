//! The same bytes, escaped in other ways.

use super::Target;
use crate::check::{Check, Outcome, Unmet};
use crate::http::judge::{unlike, whole};

const ANY: &str = "A server accepts any escaping of the same bytes.";

pub(super) const CHECKS: &[Check<Target>] = &[
    Check::required("escapes/form", 6, "The encoding is that of HTML forms", form),
    Check::required("escapes/plus", 6, "a space is `+`", plus),
    Check::required("escapes/all-upper", 6, ANY, all_upper),
    Check::required("escapes/all-lower", 6, ANY, all_lower),
    Check::required("escapes/as-few-as-can-be", 6, ANY, few),
    Check::recommended("escapes/malformed", 6, "percent-encoded", malformed),
];

fn is_the_file(target: &Target, path: &str) -> Outcome {
    whole(&target.get(path, &[])?, &target.content)
}

fn form(target: &Target) -> Outcome {
    is_the_file(target, &target.path())
}

fn plus(target: &Target) -> Outcome {
    if !target.hash.contains(&b' ') {
        return Err(Unmet::skipped("no byte of the hash is a space; name one that has a 20 in it"));
    }
    is_the_file(target, &target.path())?;
    is_the_file(target, &target.path().replace('+', "%20"))
}

fn all_upper(target: &Target) -> Outcome {
    is_the_file(target, &target.escaped(|byte| format!("%{byte:02X}")))
}

fn all_lower(target: &Target) -> Outcome {
    is_the_file(target, &target.escaped(|byte| format!("%{byte:02x}")))
}

/// Every byte that may stand in a path stands for itself (RFC 3986, section 3.3).
fn few(target: &Target) -> Outcome {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*,;=:@/".contains(&byte);
    let path = target.escaped(|byte| match may(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    is_the_file(target, &path)
}

fn malformed(target: &Target) -> Outcome {
    for end in ["%", "%4", "%zz"] {
        let answer = target.get(&format!("{}{end}", target.path()), &[])?;
        if !(400..500).contains(&answer.status) {
            return Err(unlike("a refusal", &answer));
        }
    }
    is_the_file(target, &target.path())
}
