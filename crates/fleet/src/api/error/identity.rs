//! How the API says no to machines that prove who they are, and to people who look after that.

use axum::http::StatusCode;

use super::ApiError;
use crate::identity::{IdentityError, Refused};

impl ApiError {
    /// The machine has a certificate, and no person let it in yet.
    pub fn waits_to_be_accepted() -> Self {
        let detail = "this machine waits until a person accepts it: muster identity accept";
        Self::new(
            StatusCode::FORBIDDEN,
            "MST-A065",
            "The machine is not accepted yet",
            detail,
        )
    }

    /// The certificate is another machine's, or in force no more.
    pub fn not_this_machine(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "MST-A066",
            "The certificate does not allow that",
            detail,
        )
    }

    /// Machines need no certificates here.
    pub fn no_identities() -> Self {
        let detail = "this server lets in everybody on its computer: machines need no certificates, and there are none";
        Self::new(
            StatusCode::CONFLICT,
            "MST-A069",
            "There are no identities here",
            detail,
        )
    }

    /// Too many wrong tokens came from there.
    pub fn too_many_guesses() -> Self {
        let detail = "too many wrong tokens came from your address: wait a minute";
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "MST-A064",
            "Too many wrong tokens",
            detail,
        )
    }

    fn token(code: &str, detail: String) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, "The token is not accepted", detail)
    }

    fn nothing_there(detail: String) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "MST-A067",
            "There is no such identity or enrolment",
            detail,
        )
    }

    /// No such enrolment.
    pub fn no_such_enrolment(id: &str) -> Self {
        Self::nothing_there(format!("there is no enrolment {}", super::quoted(id)))
    }

    /// No such authority is trusted.
    pub fn no_such_authority(generation: u32) -> Self {
        Self::nothing_there(format!("no authority {generation} is trusted here"))
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Token => Self::token("MST-A060", detail),
            Refused::Used => Self::token("MST-A061", detail),
            Refused::Expired(_) => Self::token("MST-A062", detail),
            Refused::NoIdentity(_) | Refused::NoEnrolment(_) => Self::nothing_there(detail),
            Refused::TooSoon(_) => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "MST-A090",
                "The certificate was renewed often enough",
                detail,
            ),
            Refused::Standing(_) | Refused::Full => Self::new(
                StatusCode::CONFLICT,
                "MST-A068",
                "That does not go with how it stands",
                detail,
            ),
            Refused::Failed(IdentityError::Csr(why)) => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "MST-A063",
                "The request for a certificate is not accepted",
                why,
            ),
            Refused::Failed(error) => {
                let detail = muster_runtime::errors::chain(&error);
                tracing::error!(code = error.code(), error = %detail, "an identity could not be changed");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "MST-A008",
                    "The store cannot do it now",
                    format!("{detail} ({})", error.code()),
                )
            }
        }
    }
}
