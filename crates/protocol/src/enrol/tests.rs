use super::*;

#[test]
fn a_token_survives_being_written_and_does_not_show_its_secret() {
    let token = Token {
        secret: [0xab; 32],
        server: Fingerprint([0x01; 32]),
    };
    let text = token.to_string();
    assert_eq!(text.parse(), Ok(token.clone()));
    assert_eq!(format!(" {text}\n").parse(), Ok(token.clone()));
    assert!(!format!("{token:?}").contains("abab"));
}

#[test]
fn what_is_no_token_is_refused() {
    let good = Token {
        secret: [7; 32],
        server: Fingerprint([8; 32]),
    }
    .to_string();
    for bad in [
        String::new(),
        TOKEN_PREFIX.to_owned(),
        good.replace(TOKEN_PREFIX, "mstt_"),
        good.replace('.', ""),
        good.replace('.', ":"),
        good.replace("07", "0x"),
        good.replacen("07", "ä", 1),
        format!("{good}0"),
        good[..good.len() - 1].to_owned(),
    ] {
        assert_eq!(bad.parse::<Token>(), Err(NoToken), "{bad}");
    }
}
