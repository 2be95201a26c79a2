//! Single-flight downloads.
