//! Known answers. The venue's documents print the private key of one example only (Ed25519, the
//! logon of FIX); the key of the RSA answers below was made with OpenSSL, which also signed.

use ring::signature::{Ed25519KeyPair, KeyPair as _};

use super::*;

const HMAC_SECRET: &[u8] = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j";
const HMAC_API_KEY: &str = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A";
const RSA_API_KEY: &str = "CAvIjXy3F44yW6Pou5k8Dy1swsYDWJZLeoK2r8G4cFDnE9nosRppc2eKc1T8TRTQ";

const HMAC_REST: &str = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1\
    &recvWindow=5000&timestamp=1499827319559";
const HMAC_REST_SIGNATURE: &str =
    "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71";
const SELL_REST: &str = "symbol=BTCUSDT&side=SELL&type=LIMIT&timeInForce=GTC&quantity=1\
    &price=0.2&timestamp=1668481559918&recvWindow=5000";
const SELL_REST_NOT_ASCII: &str = "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96\
    &side=SELL&type=LIMIT&timeInForce=GTC&quantity=1&price=0.2&timestamp=1668481559918\
    &recvWindow=5000";

const ED25519_PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEIIJEYWtGBrhACmb9Dvy+qa8WEf0lQOl1s4CLIAB9m89u";
const ED25519_LOGON: &str = "A\u{1}EXAMPLE\u{1}SPOT\u{1}1\u{1}20240627-11:17:25.223";
const ED25519_LOGON_SIGNATURE: &str = "4MHXelVVcpkdwuLbl6n73HQUXUf1dse2PCgT1DYqW9w8AVZ1RACFGM+5UdlG\
    PrQHrgtS3CvsRURC1oj73j8gCA==";
const ED25519_PEM: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAgmDRTtj2FA+wzJUIlAL9ly1eovjLBu7uXUFR+jFULmg=
-----END PUBLIC KEY-----
";
/// Algorithm and lengths in front of the 32 bytes of an Ed25519 key.
const ED25519_SPKI_HEAD: &[u8] =
    &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// The sample of the venue's document on types of keys.
const RSA_PEM_OF_DOCUMENTS: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAyfKiFXpcOhF5rX1XxePN
akwN7Etwtn3v05cZNY+ftDHbVZHs/kY6Ruj5lhxVFAq5dv7Ba9/4jPijXuMuIc6Y
8nUlqtrrxC8DEOAczw9SKATDYZN9nbLfYlbBFfHzRQUXdAtYCPI6XtxmJBS7aOBb
4nZe1SVm+bhLrp0YQnx2P0s+37qkGeVn09m6w9MnWxjgCkkYFPWQkXIu5qOnwx6p
NfqDmFD7d7dUc/6PZQ1bKFALu/UETsobmBk82ShbrBhlc0JXuhf9qBR7QASjHjFQ
2N+VF2PfH8dm5prZIpz/MFKPkBW4Yuss0OXiD+jQt1J2JUKspLqsIqoXjHQQGjL7
3wIDAQAB
-----END PUBLIC KEY-----";
const RSA_PEM: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtowOqZdC0Ykb+SLv5ClC
PMa6K5ltjE2Q8pe7ZzjaOCeawRKujlMlISQkedAKKI4AekKQjX8mpbflSkcUr+IO
mjHOJ+qk4Kkze9GZ7sLzqNcPXj6a2Rukyth1iTAHk/dj9PkXlMH+NUHBsVz6TBfQ
5RmUT8ibAPYspqwR3BV+P6vtvAAlzbXKpbceEiFAAfHabIrcqijkUgYqwnX7JGQO
BA9rtbc0gMeIS354wvAX5HwJqsxm901FMONg2FUeQ/k8wOse0Bg4+wZwlVEhJwg+
jxMr/o46Zoj18TqblkbLu0MUAjRT6ACXCQ0JfmfExkrUuUd2CIhG01UwaDigR76b
nwIDAQAB
-----END PUBLIC KEY-----
";
const RSA_REST_SIGNATURE: &str = "LL8jz8ru9jRonWdlxfqAnm81qbTLuji0kvaoHFKgRZdMlbpLvTnMoFAcl3Npcdq\
    PSdo1wdWXYahFMOuZC9CugHtph4LsVkwpuxqmU5JX47qgUITxh9zJE7xpxPe1ybsJARzXOSDqaIoI2rhxDXK9tQ01c4n\
    psCH2qDQduZaf7xonB36xZObyXZJWcb29kDKm6Ip/5luLobgHPnE3eAZUeK0+Ycr4Wrg275IpH5XI/825Qv2HahCCiSa\
    2qv18n7ati7qiXH//CIArVx++5UejyNBg4fA3dow7Lk8zcZZNi7ZS11js3PNNcnXeBLbY9WEf+k7iAFNiX/YRmDj/8ic\
    A/w==";
const RSA_REST_NOT_ASCII_SIGNATURE: &str = "Hjz4sncPhdB9ADo4mihlNsrQSBZt4LJlaq9iatNx1Qx1XRV3Nck90\
    CuCaSnfa4MMinIbjWsHCzpfkmVg/JaGTyE2wN9NgbU/0tFKa0wZw//Yht0ptJWi4Q20domrjvHFeOljDgSW63EHH1Cgp\
    Eu3j1ikPL5d/Q05qQEp+C5M22S1BrDVoNjKNcr5Lez+sNc5G6+md9lnM6d7QkDvI85TL1PFYHphaqguNKlQp5QUqeO+g\
    N6E2XCcffSZM1MsFvILWhLxaP+mrlkAPMiIE73ypK2srs7qUQb+A30bKvTlvn30h/HZ1m/i7a2l3o2chH6AjwtZ7Hlwc\
    9UGKcC5Y+BoxQ==";
const RSA_WS_SIGNATURE: &str = "mgOcEY3KTkJCipy8EoOz/V5CNHmhPmFmlWstVaw+0WWUbC25Gp8NMpmF7SQZvdv4k\
    Wn/E8B7FPDBZv0rx1vnXlKTa2JFqFMPHN6fkMYcL2wPSHlXxTAyJsF3dw1S5yHSNFoUBOo6d5CODNBXmR47z5iqxBa0U\
    +GqeoZrBR6qE8BtvSo2lJCreqF50xt2XrFj4aeRdESYaHKrE6CZKMJTqKlcw6u7OQcVV7yKs5DImyaXeFYLTbjouxQgJ\
    gmrKqFPx7sAB+Bd3eAtXLr3o1OAW8gB+CqpGzQbz3pDodixtKODaMbv4wwV/s/3eWF+bd/rxI2B3vFUPwNazZsfltG5y\
    Q==";
const RSA_WS_NOT_ASCII_SIGNATURE: &str = "eP3dFVyeCczU05yaiDD4dKMjZ0CQR+ozMgNozj3D6CHtdSgainbFW7Z\
    Ju2y5O8YsLdXQOTbyfQDoBXesH6/LF9bgsoql/ML4SeQ9gPnzoYVA60Bu7861BNYGWaOkzkIwbDwiGMS5mt9tq6TR0MP\
    xvi6sZWWMG5dtiAASJLp0J0tQiDAO3hwAH2OD2fY7g5ouvly1/dX224Zi9VfAuL/ZgZcFfEusZMIhAQstSS6EjYVp4A4\
    r9o6wpFl3ZDnx4KZSnipd+AE9/46plvEPkVo4wxji68iPg3yEthUEiMBJQMr57PFsVPcuf97VJfXssEidiLUpQ9hMWkR\
    bSkRIhyn4PQ==";

fn hmac_verifier() -> Verifier {
    Verifier::new(KeyKind::Hmac, HMAC_SECRET).unwrap()
}

fn ed25519_pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(&BASE64.decode(ED25519_PRIVATE).unwrap()).unwrap()
}

fn ed25519_verifier() -> Verifier {
    let spki = [ED25519_SPKI_HEAD, ed25519_pair().public_key().as_ref()].concat();
    Verifier::new(KeyKind::Ed25519, &spki).unwrap()
}

fn rsa_verifier() -> Verifier {
    let (kind, spki) = parse_public_key(RSA_PEM).unwrap();
    Verifier::new(kind, &spki).unwrap()
}

/// The first example of the WebSocket API, in the order of the request.
fn sell_of_ws(api_key: &'static str) -> [(&'static str, &'static str); 10] {
    [
        ("symbol", "BTCUSDT"),
        ("side", "SELL"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "0.01000000"),
        ("price", "52000.00"),
        ("recvWindow", "100"),
        ("timestamp", "1645423376532"),
        ("apiKey", api_key),
        ("signature", "------ FILL ME ------"),
    ]
}

/// The second one.
fn buy_of_ws(api_key: &'static str) -> [(&'static str, &'static str); 9] {
    [
        ("symbol", "１２３４５６"),
        ("side", "BUY"),
        ("type", "LIMIT"),
        ("timeInForce", "GTC"),
        ("quantity", "1.00000000"),
        ("price", "0.10000000"),
        ("recvWindow", "5000"),
        ("timestamp", "1645423376532"),
        ("apiKey", api_key),
    ]
}

#[test]
fn signatures_of_the_documents_are_valid() {
    let hmac_not_ascii = SELL_REST_NOT_ASCII
        .replace("side=SELL", "side=BUY")
        .replace("price=0.2&timestamp=1668481559918", "price=0.1")
        + "&timestamp=1499827319559";
    #[rustfmt::skip]
    let table: [(Verifier, &str, &str); 9] = [
        (hmac_verifier(), HMAC_REST, HMAC_REST_SIGNATURE),
        (hmac_verifier(), &hmac_not_ascii,
            "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"),
        (hmac_verifier(), &payload_of_ws(&sell_of_ws(HMAC_API_KEY)),
            "aa1b5712c094bc4e57c05a1a5c1fd8d88dcd628338ea863fec7b88e59fe2db24"),
        (hmac_verifier(), &payload_of_ws(&buy_of_ws(HMAC_API_KEY)),
            "b33892ae8e687c939f4468c6268ddd4c40ac1af18ad19a064864c47bae0752cd"),
        (ed25519_verifier(), ED25519_LOGON, ED25519_LOGON_SIGNATURE),
        (rsa_verifier(), SELL_REST, RSA_REST_SIGNATURE),
        (rsa_verifier(), SELL_REST_NOT_ASCII, RSA_REST_NOT_ASCII_SIGNATURE),
        (rsa_verifier(), &payload_of_ws(&sell_of_ws(RSA_API_KEY)), RSA_WS_SIGNATURE),
        (rsa_verifier(), &payload_of_ws(&buy_of_ws(RSA_API_KEY)), RSA_WS_NOT_ASCII_SIGNATURE),
    ];
    for (verifier, payload, signature) in table {
        check_only_valid_for(&verifier, payload, signature);
    }
}

#[test]
fn what_an_ed25519_key_signs_is_valid() {
    let pair = ed25519_pair();
    let logon = pair.sign(ED25519_LOGON.as_bytes());
    assert_eq!(BASE64.encode(logon), ED25519_LOGON_SIGNATURE);
    for payload in [SELL_REST, SELL_REST_NOT_ASCII, ""] {
        let signature = BASE64.encode(pair.sign(payload.as_bytes()));
        assert!(ed25519_verifier().verify(payload, &signature), "{payload}");
    }
}

/// Valid as it is; not for another payload, nor changed in one character or length.
fn check_only_valid_for(verifier: &Verifier, payload: &str, signature: &str) {
    assert!(verifier.verify(payload, signature), "{verifier:?} {payload}");
    assert!(!verifier.verify(&format!("{payload}0"), signature), "longer {payload}");
    assert!(!verifier.verify(&payload[1..], signature), "shorter {payload}");
    for place in 0..signature.len() {
        let mut tampered = signature.to_owned();
        let other = if &signature[place..=place] == "1" { "0" } else { "1" };
        tampered.replace_range(place..=place, other);
        assert!(!verifier.verify(payload, &tampered), "{verifier:?} place {place}");
        assert!(!verifier.verify(payload, &signature[..place]), "{verifier:?} cut at {place}");
    }
    for wrong in [format!("{signature}0"), format!("{signature} "), format!("{signature}\n")] {
        assert!(!verifier.verify(payload, &wrong), "{verifier:?} {wrong:?}");
    }
}

#[test]
fn the_case_of_letters_counts_in_base64_only() {
    let upper = HMAC_REST_SIGNATURE.to_uppercase();
    assert!(hmac_verifier().verify(HMAC_REST, &upper));
    for (verifier, payload, signature) in [
        (rsa_verifier(), SELL_REST, RSA_REST_SIGNATURE),
        (ed25519_verifier(), ED25519_LOGON, ED25519_LOGON_SIGNATURE),
    ] {
        assert!(!verifier.verify(payload, &signature.to_uppercase()), "{verifier:?}");
    }
}

#[test]
fn no_text_makes_a_verifier_panic() {
    let long = "A".repeat(10_000);
    for verifier in [hmac_verifier(), ed25519_verifier(), rsa_verifier()] {
        for text in ["", "=", "é", "１２３４", "%2F", "\0", &long, &"é".repeat(32)] {
            assert!(!verifier.verify("a=1", text), "{verifier:?} {text}");
        }
    }
}

#[test]
fn a_verifier_prints_no_key() {
    assert_eq!(format!("{:?}", hmac_verifier()), "Verifier(HMAC)");
    assert_eq!(format!("{:?}", ed25519_verifier()), "Verifier(ED25519)");
    assert_eq!(format!("{:?}", rsa_verifier()), "Verifier(RSA)");
}

#[test]
fn a_signature_is_taken_out_wherever_it_stands() {
    #[rustfmt::skip]
    let table = [
        ("a=1&signature=x", "", "a=1"),
        ("a=1&signature=x&b=2", "", "a=1&b=2"),
        ("signature=x&a=1", "", "a=1"),
        ("signature=x", "", ""),
        ("", "a=1&signature=x", "a=1"),
        ("", "a=1&signature=x&b=2", "a=1&b=2"),
        ("", "signature=x&a=1", "a=1"),
        ("a=1", "b=2&signature=x", "a=1b=2"),
        ("a=1&signature=x", "b=2", "a=1b=2"),
        ("signature=x", "a=1&b=2", "a=1&b=2"),
        ("a=1&b=2", "signature=x", "a=1&b=2"),
        ("a=1&signature=x", "signature=y&b=2", "a=1b=2"),
        ("signature=x&a=1&signature=y", "", "a=1"),
        ("a=%5B%22%2B%22%5D+b&signature=x&B=%2f", "", "a=%5B%22%2B%22%5D+b&B=%2f"),
        ("&&a=1&&signature=x&", "", "&&a=1&&"),
        ("mysignature=1&signature=x&signatures=2", "", "mysignature=1&signatures=2"),
        ("signature=x&signature", "{\"signature\":1}", "signature{\"signature\":1}"),
    ];
    for (query, body, payload) in table {
        let found = payload_of_rest(query, body);
        assert_eq!(found, Some((payload.to_owned(), "x".to_owned())), "{query} | {body}");
    }
}

#[test]
fn without_the_parameter_there_is_no_signature() {
    for (query, body) in [("", ""), ("a=1", "b=2"), ("signature", ""), ("a=signature=x", "")] {
        assert_eq!(payload_of_rest(query, body), None, "{query} | {body}");
    }
}

#[test]
fn a_signature_is_percent_decoded() {
    #[rustfmt::skip]
    let table = [
        ("HZ8HOjiJ1s%2FigS9JA%2Bn7%2B7Ti%2fA%3D%3D", "HZ8HOjiJ1s/igS9JA+n7+7Ti/A=="),
        ("a/b+c==", "a/b+c=="),
        ("%", "%"),
        ("a%2", "a%2"),
        ("a%zzb", "a%zzb"),
        ("a%+1", "a%+1"),
        ("%ff", "%ff"),
        ("%é", "%é"),
        ("", ""),
    ];
    for (sent, decoded) in table {
        let (_, signature) = payload_of_rest(&format!("signature={sent}"), "").unwrap();
        assert_eq!(signature, decoded, "{sent}");
    }
}

#[test]
fn a_signed_rest_request_is_valid_as_sent() {
    let encoded = RSA_REST_SIGNATURE.replace('/', "%2F").replace('+', "%2B").replace('=', "%3D");
    let (symbol, rest) = SELL_REST.split_once('&').unwrap();
    #[rustfmt::skip]
    let table = [
        (format!("{SELL_REST}&signature={encoded}"), String::new()),
        (format!("signature={encoded}&{SELL_REST}"), String::new()),
        (format!("{symbol}&signature={encoded}&{rest}"), String::new()),
        (String::new(), format!("{SELL_REST}&signature={encoded}")),
        (SELL_REST.to_owned(), format!("signature={encoded}")),
    ];
    for (query, body) in table {
        let (payload, signature) = payload_of_rest(&query, &body).unwrap();
        assert!(rsa_verifier().verify(&payload, &signature), "{query} | {body}");
    }
}

#[test]
fn parameters_of_the_websocket_api_are_signed_in_the_order_of_their_names() {
    #[rustfmt::skip]
    let table: [(&[(&str, &str)], &str); 4] = [
        (&[], ""),
        (&[("signature", "x")], ""),
        (&[("timestamp", "1"), ("returnRateLimits", "false"), ("apiKey", "k")],
            "apiKey=k&returnRateLimits=false&timestamp=1"),
        (&[("b", ""), ("signature", "x"), ("a", "[\"A\",\"B\"]")], "a=[\"A\",\"B\"]&b="),
    ];
    for (params, payload) in table {
        assert_eq!(payload_of_ws(params), payload);
    }
}

#[test]
fn public_keys_are_read_from_pem_and_from_base64() {
    let one_line: String = RSA_PEM.lines().filter(|line| !line.starts_with('-')).collect();
    #[rustfmt::skip]
    let table = [
        (ED25519_PEM.to_owned(), KeyKind::Ed25519),
        (ED25519_PEM.replace('\n', "\r\n"), KeyKind::Ed25519),
        (format!("\n  {ED25519_PEM}\n"), KeyKind::Ed25519),
        (ED25519_PEM.replace('\n', ""), KeyKind::Ed25519),
        (RSA_PEM.to_owned(), KeyKind::Rsa),
        (RSA_PEM_OF_DOCUMENTS.to_owned(), KeyKind::Rsa),
        (one_line, KeyKind::Rsa),
    ];
    for (text, kind) in table {
        let (found, spki) = parse_public_key(&text).unwrap();
        assert_eq!(found, kind, "{text}");
        assert_eq!(Verifier::new(kind, &spki).unwrap().kind(), kind, "{text}");
    }
}

#[test]
fn what_is_no_public_key_is_refused_with_its_reason() {
    let body = ED25519_PEM.lines().nth(1).unwrap();
    #[rustfmt::skip]
    let table = [
        (String::new(), InvalidKey::NotSpki),
        ("no key".to_owned(), InvalidKey::NotBase64),
        ("A".repeat(KEY_TEXT_LENGTH_MAX + 1), InvalidKey::TooLong),
        (ED25519_PEM.replace("PUBLIC", "PRIVATE"), InvalidKey::PrivateKey),
        (ED25519_PEM.replace("PUBLIC", "RSA PRIVATE"), InvalidKey::PrivateKey),
        (ED25519_PEM.replace("PUBLIC", "RSA PUBLIC"), InvalidKey::NotPublicKeyPem),
        (ED25519_PEM.replace("-----END", "-----"), InvalidKey::NotPublicKeyPem),
        (format!("{ED25519_PEM}{ED25519_PEM}"), InvalidKey::NotBase64),
        ("-----BEGIN PUBLIC KEY".to_owned(), InvalidKey::NotPublicKeyPem),
        (format!("{body}{body}"), InvalidKey::NotBase64),
        (ED25519_PRIVATE.to_owned(), InvalidKey::NotSpki),
    ];
    for (text, reason) in table {
        assert_eq!(parse_public_key(&text), Err(reason), "{text}");
    }
    assert_eq!(Verifier::new(KeyKind::Hmac, b"").unwrap_err(), InvalidKey::EmptySecret);
    let (_, spki) = parse_public_key(ED25519_PEM).unwrap();
    assert_eq!(
        Verifier::new(KeyKind::Rsa, &spki).unwrap_err(),
        InvalidKey::WrongKind { expected: KeyKind::Rsa, found: KeyKind::Ed25519 }
    );
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match content.len() {
        length @ 0..0x80 => bytes.push(length as u8),
        length @ 0x80..0x100 => bytes.extend([0x81, length as u8]),
        length => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    bytes.extend(content);
    bytes
}

fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let key = [&[0], key].concat();
    element(0x30, &[element(0x30, algorithm), element(0x03, &key)].concat())
}

const RSA_ALGORITHM: &[u8] =
    &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let numbers = [element(0x02, modulus), element(0x02, exponent)].concat();
    spki(RSA_ALGORITHM, &element(0x30, &numbers))
}

/// An odd number whose first byte, after a zero, is `first`.
fn modulus(length: usize, first: u8) -> Vec<u8> {
    let mut bytes = vec![0x55; length + 1];
    (bytes[0], bytes[1]) = (0, first);
    bytes
}

#[test]
fn rsa_keys_are_2048_to_4096_bits_long() {
    let usual: &[u8] = &[1, 0, 1];
    let mut even = modulus(256, 0x80);
    even[256] = 0x54;
    #[rustfmt::skip]
    let table = [
        (modulus(256, 0x80), usual, Ok(())),
        (modulus(512, 0xff), usual, Ok(())),
        (modulus(384, 0x80), &[3], Ok(())),
        (modulus(256, 0x80), &[1, 0xff, 0xff, 0xff, 0xff], Ok(())),
        (modulus(256, 0x7f)[1..].to_vec(), usual, Err(InvalidKey::RsaLength { bits: 2047 })),
        (modulus(513, 0x01)[1..].to_vec(), usual, Err(InvalidKey::RsaLength { bits: 4097 })),
        (modulus(128, 0x80), usual, Err(InvalidKey::RsaLength { bits: 1024 })),
        (even, usual, Err(InvalidKey::RsaNumbers)),
        (modulus(256, 0x80), &[1], Err(InvalidKey::RsaNumbers)),
        (modulus(256, 0x80), &[2], Err(InvalidKey::RsaNumbers)),
        (modulus(256, 0x80), &[2, 0, 0, 0, 1], Err(InvalidKey::RsaNumbers)),
        (modulus(256, 0x80), &[0], Err(InvalidKey::NotSpki)),
        (modulus(256, 0x80), &[], Err(InvalidKey::NotSpki)),
        (modulus(256, 0x80), &[0x81], Err(InvalidKey::NotSpki)),
        (modulus(256, 0x80), &[0, 3], Err(InvalidKey::NotSpki)),
        (modulus(256, 0x80)[1..].to_vec(), usual, Err(InvalidKey::NotSpki)),
    ];
    for (modulus, exponent, verdict) in table {
        let found = Verifier::new(KeyKind::Rsa, &rsa_spki(&modulus, exponent)).map(|_| ());
        assert_eq!(found, verdict, "{} bytes, exponent {exponent:?}", modulus.len());
    }
}

#[test]
fn der_that_is_not_strict_is_refused() {
    let good = BASE64.decode(ED25519_PEM.lines().nth(1).unwrap()).unwrap();
    let oid = &good[4..9];
    let key = &good[12..];
    let mut unused_bits = good.clone();
    unused_bits[11] = 1;
    let number = element(0x02, &[3]);
    let three = [element(0x02, &modulus(256, 0x80)), number.clone(), number].concat();
    #[rustfmt::skip]
    let table: [(&str, Vec<u8>, InvalidKey); 12] = [
        ("a byte more", [&good[..], &[0]].concat(), InvalidKey::NotSpki),
        ("length too long", [&[0x30, 0x81, 0x2a], &good[2..]].concat(), InvalidKey::NotSpki),
        ("length far too long", [&[0x30, 0x82, 0, 0x2a], &good[2..]].concat(), InvalidKey::NotSpki),
        ("a third element", element(0x30, &[&good[2..], &[0x05, 0]].concat()), InvalidKey::NotSpki),
        ("a third RSA number", spki(RSA_ALGORITHM, &element(0x30, &three)), InvalidKey::NotSpki),
        ("indefinite length", [&[0x30, 0x80], &good[2..], &[0, 0]].concat(), InvalidKey::NotSpki),
        ("unused bits", unused_bits, InvalidKey::NotSpki),
        ("short key", spki(oid, &key[1..]), InvalidKey::NotSpki),
        ("parameters of Ed25519", spki(&[oid, &[0x05, 0x00]].concat(), key), InvalidKey::NotSpki),
        ("RSA without parameters", spki(&RSA_ALGORITHM[..11], key), InvalidKey::NotSpki),
        ("no OID", spki(&[], key), InvalidKey::NotSpki),
        ("Ed448", spki(&[0x06, 0x03, 0x2b, 0x65, 0x71], key), InvalidKey::UnknownAlgorithm),
    ];
    for (name, spki, reason) in table {
        assert_eq!(Verifier::new(KeyKind::Ed25519, &spki).unwrap_err(), reason, "{name}");
    }
}

#[test]
fn a_key_cut_short_or_changed_in_one_byte_never_panics() {
    for pem in [ED25519_PEM, RSA_PEM] {
        let (kind, spki) = parse_public_key(pem).unwrap();
        for place in 0..spki.len() {
            assert!(Verifier::new(kind, &spki[..place]).is_err(), "cut at {place}");
            for value in 0..=u8::MAX {
                let mut changed = spki.clone();
                changed[place] = value;
                let _ = Verifier::new(kind, &changed).map(|key| key.kind());
            }
        }
    }
}
