//! Who a machine is: certificates from the first token to the last cut, with a machine that speaks TLS by hand.

mod kit;
mod lives;
mod own;
mod refused;
mod releases;
mod renewing;
mod revocation;
mod scopes;
mod uploads;
