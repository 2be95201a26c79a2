//! The listener that apt talks to.
