//! The executable as people start it.

mod bench;
