//! What is done with one request of apt.
