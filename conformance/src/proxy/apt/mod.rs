use super::Target;
use crate::check::Check;
pub(super) const CHECKS: &[Check<Target>] = &[];
#[derive(Debug)]
pub(super) struct Archive;
