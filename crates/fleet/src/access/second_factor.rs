//! The second factor: codes that change every thirty seconds (TOTP), each good for one use.
//!
//! Source: RFC 6238.

use base32::Alphabet;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use constant_time_eq::constant_time_eq;
use muster_model::Timestamp;
use muster_model::access::PersonName;
use sha2::{Digest, Sha256};
use totp_rs::{Builder, Totp};

use super::records::SecondFactor;
use super::secret::{NoEntropy, hex, random};

/// Who issues the codes, as an authenticator shows it.
const ISSUER: &str = "Muster";
/// Seconds of a step.
const STEP_S: u64 = 30;
/// Digits of a code.
const CODE_DIGITS: usize = 6;
/// How a secret is written.
const RFC4648: Alphabet = Alphabet::Rfc4648 { padding: false };
/// Codes for the day the authenticator is lost.
const RECOVERY_CODES: usize = 10;

/// A factor that is offered: nothing of it counts before a code of it was told.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The secret, base32.
    pub secret: String,
    /// The same as an address for authenticators.
    pub address: String,
    /// The address as a picture.
    pub qr_svg: String,
}

/// A new factor for somebody.
///
/// # Errors
///
/// The operating system gave no randomness.
pub fn offer(name: &PersonName) -> Result<Offer, NoEntropy> {
    let bytes = random::<20>()?;
    let totp = of_bytes(bytes.to_vec(), name).ok_or(NoEntropy)?;
    let address = totp.to_url().map_err(|_| NoEntropy)?;
    let code = qrcode::QrCode::new(address.as_bytes()).map_err(|_| NoEntropy)?;
    let qr_svg = code
        .render::<qrcode::render::svg::Color<'_>>()
        .min_dimensions(200, 200)
        .build();
    Ok(Offer {
        secret: base32(&bytes),
        address,
        qr_svg,
    })
}

/// Codes for the day the authenticator is lost, and what is kept of them.
///
/// # Errors
///
/// The operating system gave no randomness.
pub fn recovery_codes() -> Result<(Vec<String>, Vec<String>), NoEntropy> {
    let mut codes = Vec::with_capacity(RECOVERY_CODES);
    for _ in 0..RECOVERY_CODES {
        // 96 bits: nobody guesses them, so a plain hash is enough.
        codes.push(URL_SAFE_NO_PAD.encode(random::<12>()?));
    }
    let kept = codes.iter().map(|code| hash(code)).collect();
    Ok((codes, kept))
}

/// Whether a code is as short as those of an authenticator. Recovery codes are not.
pub fn can_be_guessed(code: &str) -> bool {
    let digits = digits(code);
    digits.len() == CODE_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn digits(code: &str) -> String {
    let digits = code.chars();
    digits.filter(|character| !character.is_whitespace()).collect()
}

/// Whether a code is right and was not used before: the factor as it is to be kept then.
pub fn spend(factor: &SecondFactor, code: &str, name: &PersonName, now: Timestamp) -> Option<SecondFactor> {
    let code = code.trim();
    let mut spent = factor.clone();
    if can_be_guessed(code) {
        let digits = digits(code);
        let totp = of_bytes(unbase32(&factor.secret)?, name)?;
        let time_s = u64::try_from(now.as_millis() / 1_000).ok()?;
        // One step to either side: clocks differ.
        let step = (time_s / STEP_S).saturating_sub(1)..=time_s / STEP_S + 1;
        let mut steps = step.filter(|step| *step > factor.last_step);
        let found = steps.find(|step| {
            let token = totp.generate(step * STEP_S);
            constant_time_eq(token.to_string().as_bytes(), digits.as_bytes())
        })?;
        spent.last_step = found;
        return Some(spent);
    }
    let hashed = hash(code);
    let at = spent
        .recovery
        .iter()
        .position(|kept| constant_time_eq(kept.as_bytes(), hashed.as_bytes()))?;
    spent.recovery.remove(at);
    Some(spent)
}

fn of_bytes(secret: Vec<u8>, name: &PersonName) -> Option<Totp> {
    let builder = Builder::new().with_secret(secret).with_issuer(Some(ISSUER));
    builder.with_account_name(name.as_str()).build().ok()
}

fn hash(code: &str) -> String {
    hex(&Sha256::digest(code.as_bytes()))
}

fn base32(bytes: &[u8]) -> String {
    base32::encode(RFC4648, bytes)
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    base32::decode(RFC4648, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor() -> SecondFactor {
        SecondFactor {
            // "12345678901234567890", the secret of the RFC.
            secret: base32(b"12345678901234567890"),
            last_step: 0,
            recovery: Vec::new(),
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn codes_are_those_of_the_rfc_and_good_for_one_use() {
        let ada: PersonName = "ada".parse().unwrap();
        assert_eq!(factor().secret, "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(unbase32(&factor().secret).unwrap(), b"12345678901234567890");
        // RFC 6238, appendix B, cut to six digits.
        for (time, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (2_000_000_000, "279037"),
        ] {
            let spent = spend(&factor(), code, &ada, at(time)).unwrap_or_else(|| panic!("{time}"));
            assert_eq!(spent.last_step, time as u64 / 30);
            assert!(spend(&spent, code, &ada, at(time)).is_none(), "used twice");
            assert!(
                spend(&factor(), code, &ada, at(time + 30)).is_some(),
                "a slow clock"
            );
            assert!(spend(&factor(), code, &ada, at(time + 90)).is_none(), "too old");
        }
        assert!(spend(&factor(), "287083", &ada, at(59)).is_none());
        assert!(spend(&factor(), "", &ada, at(59)).is_none());
    }

    #[test]
    fn a_recovery_code_is_good_for_one_use() {
        let ada: PersonName = "ada".parse().unwrap();
        let (codes, kept) = recovery_codes().unwrap();
        let factor = SecondFactor {
            recovery: kept,
            ..factor()
        };
        let spent = spend(&factor, &codes[3], &ada, at(0)).unwrap();
        assert_eq!(spent.recovery.len(), 9);
        assert!(spend(&spent, &codes[3], &ada, at(0)).is_none());
        assert!(spend(&spent, &codes[4], &ada, at(0)).is_some());
    }

    #[test]
    fn an_offer_can_be_scanned() {
        let offer = offer(&"ada".parse().unwrap()).unwrap();
        assert!(offer.address.starts_with("otpauth://totp/"), "{}", offer.address);
        assert!(
            offer.address.contains(&format!("secret={}", offer.secret)),
            "{}",
            offer.address
        );
        assert!(offer.qr_svg.contains("<svg"));
    }
}
