//! Asking mirrors.
