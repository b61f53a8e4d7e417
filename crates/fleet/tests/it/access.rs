//! Who is let in, and what they may: signing in, tokens, what is seen, what is written down, and attacks on all of it.

mod attacks;
mod audit;
mod ending;
mod guessing;
mod hanging_up;
pub mod kit;
mod matrix;
mod people;
mod provider;
mod seconding;
mod seeing;
mod signing_in;
mod strangers;
