//! Rollouts in a small world: machines with tempers, a log, a clock, and checks of what must hold after each step.

mod acts;
mod model;
mod planning;
mod planted;
mod random;
mod strategies;
mod world;
