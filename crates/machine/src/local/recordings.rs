//! Keeping the minutes around a moment that somebody beside the machine thinks worth it: `POST /v1/recordings/mark` with
//! `{"why": "it rattles"}`. The files themselves are looked at where they lie (`muster-machine recordings`).

use http::{Method, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Bytes;
use muster_model::Timestamp;
use muster_runtime::Clock;
use serde::{Deserialize, Serialize};

use super::{Call, Door, json, refuse};
use crate::nodes::recorder;
use crate::recording::recorder::{Moment, Order};

/// Longest reason, in characters.
const WHY_MAX_CHARS: usize = 200;

/// Why a moment matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// For whoever looks at it later.
    pub why: String,
}

/// It will be kept: its file comes when the minutes after the moment are over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// The moment.
    pub at: Timestamp,
}

/// The answer, if the request is this one.
pub(super) fn answer(call: &Call<'_>, door: &Door) -> Option<Response<Full<Bytes>>> {
    if call.path != "/v1/recordings/mark" {
        return None;
    }
    if call.method != Method::POST {
        return Some(refuse(StatusCode::METHOD_NOT_ALLOWED, "POST is accepted here"));
    }
    let mark: Mark = match call.json() {
        Ok(mark) => mark,
        Err(refused) => return Some(refused),
    };
    if mark.why.trim().is_empty() || mark.why.chars().count() > WHY_MAX_CHARS {
        let what = format!("why: 1 to {WHY_MAX_CHARS} characters are accepted");
        return Some(refuse(StatusCode::UNPROCESSABLE_ENTITY, &what));
    }
    let recorder = door.recorder.as_ref().and_then(recorder::Desk::recorder);
    let Some(recorder) = recorder else {
        return Some(refuse(StatusCode::CONFLICT, "this machine does not record"));
    };
    let at = Timestamp::from_millis(Clock::start().wall_ms());
    let ordered = recorder.order(Order::Keep(Moment {
        why: "marked".to_owned(),
        text: mark.why,
        at,
        pinned: true,
    }));
    Some(if ordered {
        json(StatusCode::OK, &Marked { at })
    } else {
        refuse(
            StatusCode::SERVICE_UNAVAILABLE,
            "the recorder has too much to do just now",
        )
    })
}
