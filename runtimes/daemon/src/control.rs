//! The Unix socket over which `khashmir status` asks the running daemon.
