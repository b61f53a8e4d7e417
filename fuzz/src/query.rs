//! Query strings of the REST API and of the live stream.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use axum::extract::FromRequestParts;
use axum::http::Request;
use axum::response::IntoResponse;
use muster_fleet::api::events::FleetEventParams;
use muster_fleet::api::machines::{AtParams, ListParams};
use muster_fleet::api::params::Params;
use muster_fleet::api::series::{LogParams, TelemetryParams};
use muster_fleet::live::stream::StreamParams;
use serde::de::DeserializeOwned;

/// What stands behind the question mark, as the parameters of each list.
pub fn query(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    // What is no address is refused before anything here sees it.
    let Ok(request) = Request::builder().uri(format!("/?{text}")).body(()) else {
        return false;
    };
    let (parts, ()) = request.into_parts();
    [
        read::<ListParams>(&parts),
        read::<AtParams>(&parts),
        read::<FleetEventParams>(&parts),
        read::<TelemetryParams>(&parts),
        read::<LogParams>(&parts),
        read::<StreamParams>(&parts),
    ]
    .contains(&true)
}

/// Parameters are accepted, or refused as a client's fault.
fn read<T: DeserializeOwned + Send>(parts: &axum::http::request::Parts) -> bool {
    let mut parts = parts.clone();
    let mut read = pin!(Params::<T>::from_request_parts(&mut parts, &()));
    match read.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(Params(_))) => true,
        Poll::Ready(Err(error)) => {
            let said = format!("{error:?}");
            assert!(said.contains("MST-A001"), "{said}");
            let response = error.into_response();
            assert_eq!(response.status().as_u16(), 400);
            // However long the address was: a name and a detail, twice each, in letters of up to six bytes.
            let bytes = axum::body::HttpBody::size_hint(response.body()).exact();
            assert!(
                bytes.is_some_and(|bytes| bytes < 50_000),
                "an answer of {bytes:?} bytes"
            );
            false
        }
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}
