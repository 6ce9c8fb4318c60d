use super::*;
use crate::json::{Json, TimeUnit};
use protocol::instrument::flag;
use protocol::number::parse_decimal;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

const CURRENT: &str = include_str!("current.json");

/// The answer of 2021-10-12, 1,695 symbols, beside this repository or in `OUTCRY_CAPTURES`.
fn captured() -> PathBuf {
    let folder = std::env::var_os("OUTCRY_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures"),
        PathBuf::from,
    );
    folder.join("binance-cryptofeed/binance_exchangeInfo_20211012.json.gz")
}

/// One symbol in the layout of 2021.
const OLD: &str = r#"{"symbols": [{"symbol": "ETHBTC", "status": "TRADING", "baseAsset": "ETH",
"baseAssetPrecision": 8, "quoteAsset": "BTC", "quotePrecision": 8, "quoteAssetPrecision": 8,
"baseCommissionPrecision": 8, "quoteCommissionPrecision": 8, "orderTypes": ["LIMIT", "MARKET"],
"icebergAllowed": true, "ocoAllowed": true, "quoteOrderQtyMarketAllowed": true,
"isSpotTradingAllowed": true, "isMarginTradingAllowed": false, "permissions": ["SPOT"],
"filters": [
{"filterType": "LOT_SIZE", "minQty": "0.1", "maxQty": "9", "stepSize": "0.1"},
{"filterType": "ICEBERG_PARTS", "limit": 10}
]}]}"#;

fn of(text: &str) -> Imported {
    import_bytes("x.json", text.as_bytes()).unwrap()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// Equal as exchangeInfo means it: decimal texts by value, everything else exactly.
fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::String(left), Value::String(right)) => {
            let (a, b) = (parse_decimal(left), parse_decimal(right));
            left == right || a.is_ok() && a == b
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, value)| right.get(name).is_some_and(|other| is_same(value, other)))
        }
        _ => left == right,
    }
}

/// Does what was sent come back, each filter once, in any order?
fn check_round_trip(sent: &Value, back: &Value) {
    let symbol = &sent["symbol"];
    let (filters, back_filters) = (sent["filters"].as_array(), back["filters"].as_array());
    let (filters, back_filters) = (filters.unwrap(), back_filters.unwrap());
    assert_eq!(filters.len(), back_filters.len(), "{symbol}");
    for filter in filters {
        let same = back_filters.iter().filter(|other| is_same(filter, other)).count();
        assert_eq!(same, 1, "{symbol}: {filter} in {back_filters:?}");
    }
    for (name, value) in sent.as_object().unwrap() {
        let apart = ["filters", "permissions", "permissionSets", "nextField", "orderTypes"];
        if !apart.contains(&name.as_str()) && !name.starts_with("allowedSelf") {
            assert_eq!(value, &back[name], "{symbol}: {name}");
        }
    }
}

#[test]
fn the_captured_answer_is_imported_whole_and_comes_back() {
    let path = captured();
    if !path.exists() {
        println!("skipped: {} is not there", path.display());
        return;
    }
    let imported = import(&path).unwrap();
    let report = "1695 instruments imported, 0 refused\n";
    assert_eq!(imported.to_string(), report);

    let bytes = std::fs::read(&path).unwrap();
    let sent: Value = serde_json::from_reader(flate2::read::GzDecoder::new(&bytes[..])).unwrap();
    let back = to_json(&imported.instruments);
    let sent = sent["symbols"].as_array().unwrap();
    assert_eq!(sent.len(), back.as_array().unwrap().len());
    for (sent, back) in sent.iter().zip(back.as_array().unwrap()) {
        check_round_trip(sent, back);
        assert_eq!(sent["permissions"], back["permissionSets"][0]);
        assert_eq!(sent["orderTypes"], back["orderTypes"]);
    }

    let again = import_bytes("again", serde_json::json!({"symbols": back}).to_string().as_bytes());
    assert_eq!(again.unwrap().instruments, imported.instruments);
}

#[test]
fn todays_layout_is_imported_with_all_filters() {
    let imported = of(CURRENT);
    let report = "\
2 instruments imported, 0 refused
not enforced: SPREAD 1, T_PLUS_SELL 1 (kept, and shown in exchangeInfo)
not kept: field nextField 1, grouping of permissionSets 1, order type NEXT_KIND 1, permission \
TRD_GRP_261 1
";
    assert_eq!(imported.to_string(), report);
    let first = &imported.instruments[0];
    assert_eq!(first.filters.present.count_ones() as usize, FILTERS.len());
    assert_eq!(first.flags & flag::AMEND, 0);
    assert_ne!(first.flags & flag::TRAILING_STOP, 0);
    let sent: Value = serde_json::from_str(CURRENT).unwrap();
    let back = to_json(&imported.instruments);
    for (sent, back) in sent["symbols"].as_array().unwrap().iter().zip(back.as_array().unwrap()) {
        check_round_trip(sent, back);
    }
    let sets = serde_json::json!([["SPOT", "MARGIN", "TRD_GRP_004"]]);
    assert_eq!(back[0]["permissionSets"], sets);
}

#[test]
fn a_symbol_is_written_in_the_order_of_the_document() {
    let definition = of(OLD).instruments[0];
    let written = |shown| Json::of(TimeUnit::Millisecond, |json| symbol(json, &definition, shown));
    let expected = "{\"symbol\":\"ETHBTC\",\"status\":\"TRADING\",\"baseAsset\":\"ETH\",\
        \"baseAssetPrecision\":8,\"quoteAsset\":\"BTC\",\"quotePrecision\":8,\
        \"quoteAssetPrecision\":8,\"baseCommissionPrecision\":8,\"quoteCommissionPrecision\":8,\
        \"orderTypes\":[\"LIMIT\",\"MARKET\"],\"icebergAllowed\":true,\"ocoAllowed\":true,\
        \"otoAllowed\":false,\"opoAllowed\":false,\"quoteOrderQtyMarketAllowed\":true,\
        \"allowTrailingStop\":false,\"cancelReplaceAllowed\":true,\"amendAllowed\":true,\
        \"pegInstructionsAllowed\":false,\"isSpotTradingAllowed\":true,\
        \"isMarginTradingAllowed\":false,\"filters\":[{\"filterType\":\"LOT_SIZE\",\
        \"minQty\":\"0.10000000\",\"maxQty\":\"9.00000000\",\"stepSize\":\"0.10000000\"},\
        {\"filterType\":\"ICEBERG_PARTS\",\"limit\":10}],\"permissions\":[],\
        \"permissionSets\":[[\"SPOT\"]],\"defaultSelfTradePreventionMode\":\"NONE\",\
        \"allowedSelfTradePreventionModes\":[\"NONE\",\"EXPIRE_TAKER\",\"EXPIRE_MAKER\",\
        \"EXPIRE_BOTH\",\"DECREMENT\",\"TRANSFER\"]}";
    assert_eq!(written(Shown::AS_DEFINED), expected);
    let masked = written(Shown { flags: !flag::OCO, permission_sets: false });
    let expected = expected
        .replace("\"ocoAllowed\":true", "\"ocoAllowed\":false")
        .replace("\"permissionSets\":[[\"SPOT\"]]", "\"permissionSets\":[]");
    assert_eq!(masked, expected);
}

#[test]
fn kept_filters_that_are_no_list_of_json_are_left_out() {
    #[track_caller]
    fn check(kept: &str, shown: &str) {
        let mut definition = of(OLD).instruments[0];
        definition.filters = Filters::NONE;
        definition.other_filters = Bytes::new(kept.as_bytes()).unwrap();
        let back = to_json(&[definition]);
        assert_eq!(back[0]["filters"].to_string(), shown, "{kept}");
        assert_eq!(back[0]["permissions"].to_string(), "[]", "{kept}");
    }
    check("", "[]");
    check(" ", "[]");
    check("{\"a\":1},{\"b\":[]}", "[{\"a\":1},{\"b\":[]}]");
    check("{\"a\":", "[]");
    check("{}],\"permissions\":[1", "[]");
    check("{}],[{}", "[]");
    check("1e400", "[]");
    check(&format!("{}{}", "[".repeat(125), "]".repeat(125)), "[]");
}

#[test]
fn what_the_old_layout_lacks_has_todays_value() {
    let instrument = of(OLD).instruments[0];
    let open = instrument.flags & (flag::CANCEL_REPLACE | flag::AMEND);
    assert_eq!(open, flag::CANCEL_REPLACE | flag::AMEND);
    let shut = flag::OTO | flag::OPO | flag::TRAILING_STOP | flag::PEGGED;
    assert_eq!(instrument.flags & shut, 0);
    assert_eq!(instrument.default_stp_mode, StpMode::None);
    assert_eq!(
        StpMode::names(instrument.allowed_stp_modes),
        ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"]
    );
}

#[test]
fn a_symbol_that_cannot_be_read_is_refused_with_its_place() {
    #[track_caller]
    fn check(part: &str, replaced: &str, message: &str) {
        assert_eq!(OLD.matches(part).count(), 1, "{part}");
        let imported = of(&OLD.replace(part, replaced));
        assert_eq!(imported.instruments, []);
        assert_eq!(imported.refused[0].to_string(), message);
        assert!(!imported.is_whole());
    }
    check(
        "\"stepSize\": \"0.1\"",
        "\"stepSize\": \"0.0000000000001\"",
        "x.json:7:72: ETHBTC: LOT_SIZE.stepSize: \"0.0000000000001\": more than 8 digits after the \
         point; allowed: a decimal from 0 to 92233720368.54775807, at most 8 digits after the point",
    );
    check(
        "\"stepSize\": \"0.1\"",
        "\"stepSize\": 1e-05",
        "x.json:7:72: ETHBTC: LOT_SIZE.stepSize: 1e-05: not a decimal number: digits, at most one \
         point, no sign; allowed: a decimal from 0 to 92233720368.54775807, at most 8 digits after \
         the point",
    );
    check(
        ", \"stepSize\": \"0.1\"",
        "",
        "x.json:7:1: ETHBTC: LOT_SIZE: `stepSize` is missing; allowed: \"stepSize\": …",
    );
    check(
        "\"limit\": 10",
        "\"limit\": 4294967296",
        "x.json:8:42: ETHBTC: ICEBERG_PARTS.limit: 4294967296 is not allowed here; allowed: a \
         whole number from 0 to 4294967295",
    );
    check(
        "ICEBERG_PARTS",
        "LOT_SIZE",
        "x.json:8:1: ETHBTC: LOT_SIZE: `minQty` is missing; allowed: \"minQty\": …",
    );
    check(
        "{\"filterType\": \"ICEBERG_PARTS\", \"limit\": 10}",
        "{\"filterType\": \"X\"}, {\"filterType\": \"X\"}",
        "x.json:8:37: ETHBTC: filterType: \"X\" stands twice; allowed: each filter once",
    );
    check(
        "\"limit\": 10",
        &format!("\"limit\": 10}}, {{\"filterType\": \"Y\", \"z\": \"{}\"", "y".repeat(1_024)),
        "x.json:6:12: ETHBTC: filters: 1049 bytes of filters that this version does not know; \
         allowed: at most 1024 bytes of them",
    );
    check(
        "\"TRADING\"",
        "\"AUCTION\"",
        "x.json:1:45: ETHBTC: status: \"AUCTION\" is unknown; allowed: TRADING, HALT, CANCEL_ONLY, \
         BREAK, END_OF_DAY, AUCTION_MATCH",
    );
    check(
        "\"baseAssetPrecision\": 8",
        "\"baseAssetPrecision\": 9",
        "x.json:2:23: ETHBTC: baseAssetPrecision: 9 digits; allowed: a whole number from 0 to 8",
    );
    check(
        "\"ocoAllowed\": true",
        "\"ocoAllowed\": 1",
        "x.json:4:39: ETHBTC: ocoAllowed: 1 is not allowed here; allowed: true, false",
    );
    check(
        "\"quoteAsset\": \"BTC\"",
        "\"quoteAsset\": \"ETH\"",
        "x.json:2:40: ETHBTC: quoteAsset: ETH is the base asset too; allowed: two different assets",
    );
    check(
        "\"ETHBTC\"",
        "\"\"",
        "x.json:1:25: symbol 1: symbol: \"\" is not a name; allowed: 1 to 32 bytes without blanks",
    );
    check(
        "\"symbol\": \"ETHBTC\"",
        "\"symbol\": \"ETHBTC\", \"symbol\": \"ETHBTC\"",
        "x.json:1:45: symbol 1: `symbol` stands twice; allowed: one of each name",
    );
}

#[test]
fn a_refused_symbol_stops_no_other() {
    let symbol = OLD.strip_prefix("{\"symbols\": [").unwrap().strip_suffix("]}").unwrap();
    let other = symbol.replace("ETHBTC", "ETHBT2");
    let imported = of(&format!("{{\"symbols\": [{symbol},\n{symbol},\n7, {other}]}}"));
    let expected = "x.json:10:12: ETHBTC: symbol: ETHBTC stands twice; allowed: each symbol once\n\
                    x.json:19:1: symbol 3: 7 is not an object; allowed: {…}\n\
                    2 instruments imported, 2 refused\n";
    assert_eq!(imported.to_string(), expected);
}

#[test]
fn a_file_that_is_no_exchange_info_is_refused_with_its_place() {
    #[track_caller]
    fn check(bytes: &[u8], message: &str) {
        assert_eq!(import_bytes("x.json", bytes).unwrap_err().to_string(), message);
    }
    check(b"", "x.json:1:1: not JSON: EOF while parsing a value");
    check(b"{\n \"symbols\": [}", "x.json:2:14: not JSON: expected value");
    check(b"[]", "x.json:1:1: [] is not an object; allowed: {…}");
    check(b"{\"symbols\": 1}", "x.json:1:13: 1 is not a list; allowed: […]");
    check(b"{\"symbols\": []}", "x.json:1:13: no symbol in it; allowed: 1 to 65536 symbols");
    check(
        b"{\"code\":-1121,\"msg\":\"Invalid symbol.\"}",
        "x.json:1:1: `symbols` is missing; allowed: an answer of GET /api/v3/exchangeInfo, with \
         \"symbols\": [...]",
    );
    check(b"{\n\"\xff\"}", "x.json:2:2: not UTF-8; allowed: JSON");
    let whole = packed(OLD.as_bytes());
    assert!(import_bytes("x.json.gz", &whole).is_ok());
    check(
        &whole[..whole.len() - 9],
        "x.json: the gzip ends in the middle; allowed: a whole .json.gz; fetch or copy it again",
    );
    let mut changed = whole.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 0xff;
    let error = import_bytes("x.json", &changed).unwrap_err().to_string();
    assert!(error.starts_with("x.json: the gzip "), "{error}");
    let missing = import(Path::new("missing.json")).unwrap_err().to_string();
    assert!(missing.starts_with("missing.json: cannot read: "), "{missing}");
}

#[test]
fn a_gzip_that_unpacks_without_end_is_refused() {
    let bomb = packed(&vec![b' '; 1 << 20]);
    assert!(bomb.len() < 4_096);
    let error = import_bytes_bounded("x.json.gz", &bomb, 1 << 19).unwrap_err().to_string();
    let expected = "x.json.gz: unpacked, larger than 524288 bytes; allowed: a whole .json.gz; \
                    fetch or copy it again";
    assert_eq!(error, expected);
}

#[test]
fn every_prefix_and_every_changed_byte_is_taken_or_refused() {
    for length in 0..CURRENT.len() {
        if let Some(text) = CURRENT.get(..length) {
            assert!(import_bytes("x", text.as_bytes()).is_err() || text.trim_end().ends_with('}'));
        }
        if length < OLD.len() {
            for byte in [b'"', b'{', b'9', b'\n', b'-', 0xff] {
                let mut bytes = OLD.as_bytes().to_vec();
                bytes[length] = byte;
                let _ = import_bytes("x", &bytes);
            }
        }
    }
    let deep = format!("{{\"symbols\": {}", "[".repeat(200_000));
    assert!(import_bytes("x", deep.as_bytes()).is_err());
}

#[test]
fn a_status_that_the_venue_lacks_is_shown_as_one_that_it_once_had() {
    #[track_caller]
    fn check(status: InstrumentStatus, word: &str, read: InstrumentStatus) {
        let mut definition = of(OLD).instruments[0];
        definition.status = status;
        assert_eq!(to_json(&[definition])[0]["status"], word);
        let text = OLD.replace("\"TRADING\"", &format!("\"{word}\""));
        assert_eq!(of(&text).instruments[0].status, read, "{word}");
    }
    for status in ["TRADING", "HALT", "CANCEL_ONLY", "BREAK"] {
        let known = InstrumentStatus::parse(status).unwrap();
        check(known, status, known);
    }
    check(InstrumentStatus::Closed, "END_OF_DAY", InstrumentStatus::Closed);
    let auctions = InstrumentStatus::ALL.iter().filter(|it| it.is_auction());
    auctions.for_each(|it| check(*it, "AUCTION_MATCH", InstrumentStatus::OpeningAuction));
}
