//! What a power cut leaves of an update, at every instant of it and in every way.
//!
//! [`record::Recorder`] carries out an update on a real file system and writes down each operation. [`disk::Recorded`] then answers, for the
//! first so many operations, which directories a power cut could leave: what was synced is there; of the rest each may be there or lost,
//! and the last thing written may be torn. Each such directory is built anew on a real file system, and [`judge::Judge`] opens it as after
//! the cut. [`tests`] shows that nothing is found, and that every bug of a list is.
//!
//! What a disk may do here: keep an operation that was not synced, or lose it, whatever became of those around it, and keep a part of what
//! was written or zeros in its place. It may not undo what was synced. A rename is whole or not there at all.

mod disk;
mod judge;
mod record;
mod script;
mod tests;
