//! Reads the few fields that matter out of a JSON answer by looking for their names, without
//! parsing the rest. Good for compact JSON of the venue; what is not found is `None`.

/// Id and status of an answer of the WebSocket API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnswerHead {
    pub(crate) id: u64,
    pub(crate) status: u64,
}

/// The head of an answer; `None` for an event, or an answer without a whole number as its id.
#[inline]
pub(crate) fn answer_head(message: &[u8]) -> Option<AnswerHead> {
    let id = number_after(message, b"\"id\":")?;
    Some(AnswerHead { id, status: number_after(message, b"\"status\":")? })
}

/// Is this an event of a user data stream (or any other message that answers nothing)?
#[inline]
pub(crate) fn is_event(message: &[u8]) -> bool {
    message.starts_with(b"{\"subscriptionId\":") || message.starts_with(b"{\"event\":")
}

/// The order that this execution report says is off the book without its owner asking: filled,
/// or ended by self-trade prevention.
#[inline]
pub(crate) fn order_gone(event: &[u8]) -> Option<u64> {
    let status = text_after(event, b"\"X\":")?;
    let gone = status == b"FILLED" || status == b"EXPIRED_IN_MATCH";
    if gone { number_after(event, b"\"i\":") } else { None }
}

/// The first whole number behind `key` (with its quotes and colon). Where another kind of value
/// stands behind the key, the search goes on.
#[inline]
pub(crate) fn number_after(message: &[u8], key: &[u8]) -> Option<u64> {
    let mut rest = message;
    loop {
        rest = after(rest, key)?;
        if let Some(number) = leading_number(skip_blanks(rest)) {
            return Some(number);
        }
    }
}

/// The first text behind `key`, up to the next quote: for words and ids, which hold no escapes.
#[inline]
pub(crate) fn text_after<'a>(message: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut rest = message;
    loop {
        rest = after(rest, key)?;
        if let [b'"', text @ ..] = skip_blanks(rest) {
            let length = text.iter().position(|&byte| byte == b'"')?;
            return text.get(..length);
        }
    }
}

/// What follows the first `key`; every key begins with a quote.
#[inline]
fn after<'a>(message: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut rest = message;
    loop {
        let quote = rest.iter().position(|&byte| byte == b'"')?;
        rest = rest.get(quote..)?;
        if let Some(behind) = rest.strip_prefix(key) {
            return Some(behind);
        }
        rest = rest.get(1..)?;
    }
}

#[inline]
fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    bytes.get(blanks..).unwrap_or_default()
}

#[inline]
fn leading_number(bytes: &[u8]) -> Option<u64> {
    let mut number: Option<u64> = None;
    for digit in bytes.iter().take_while(|byte| byte.is_ascii_digit()) {
        let before = number.unwrap_or(0).checked_mul(10)?;
        number = Some(before.checked_add(u64::from(digit - b'0'))?);
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const PLACED: &str = r#"{"id":7,"status":200,"result":{"symbol":"BTCUSDT","orderId":12569099453,"orderListId":-1,"clientOrderId":"4d96324ff9d44481926157ec08158a40","transactTime":1660801715639,"price":"23416.10000000","origQty":"0.00847000","executedQty":"0.00100000","origQuoteOrderQty":"0.000000","cummulativeQuoteQty":"0.00000000","status":"NEW","timeInForce":"GTC","type":"LIMIT","side":"SELL","workingTime":1660801715639,"selfTradePreventionMode":"NONE"}}"#;
    const CANCELED: &str = r#"{"id":18446744073709551615,"status":200,"result":{"symbol":"BTCUSDT","origClientOrderId":"4d96324ff9d44481926157","orderId":1,"orderListId":-1,"clientOrderId":"91fe37ce9e69c90d6358c0","transactTime":1684804350068,"price":"23416.10000000","origQty":"0.00847000","executedQty":"0.00001000","origQuoteOrderQty":"0.000000","cummulativeQuoteQty":"0.23416100","status":"CANCELED","timeInForce":"GTC","type":"LIMIT","side":"SELL","selfTradePreventionMode":"NONE"}}"#;
    const REPORT: &str = r#"{"subscriptionId":0,"event":{"e":"executionReport","E":1499405658658,"s":"ETHBTC","c":"mUvoqJxFIILMdfAW5iGSOW","S":"BUY","o":"LIMIT","f":"GTC","q":"1.00000000","p":"0.10264410","P":"0.00000000","F":"0.00000000","g":-1,"C":"","x":"TRADE","X":"FILLED","r":"NONE","i":4293153,"l":"1.00000000","z":"1.00000000","L":"0.10264410","n":"0","N":null,"T":1499405658657,"t":5,"I":8641984,"w":true,"m":true,"M":false,"O":1499405658657,"Z":"0.10264410","Y":"0.10264410","Q":"0.00000000","W":1499405658657,"V":"NONE"}}"#;

    fn text<'a>(message: &'a str, key: &str) -> Option<&'a str> {
        text_after(message.as_bytes(), key.as_bytes()).map(|text| str::from_utf8(text).unwrap())
    }

    #[test]
    fn the_scan_of_an_answer_agrees_with_a_json_parser() {
        for message in [PLACED, CANCELED] {
            let value: Value = serde_json::from_str(message).unwrap();
            let head = answer_head(message.as_bytes()).unwrap();
            assert_eq!(Some(head.id), value["id"].as_u64());
            assert_eq!(Some(head.status), value["status"].as_u64());
            let result = &value["result"];
            assert_eq!(
                number_after(message.as_bytes(), b"\"orderId\":"),
                result["orderId"].as_u64()
            );
            for name in ["clientOrderId", "origClientOrderId", "status", "executedQty", "symbol"] {
                assert_eq!(text(message, &format!("\"{name}\":")), result[name].as_str(), "{name}");
            }
            assert!(!is_event(message.as_bytes()));
        }
    }

    #[test]
    fn blanks_and_another_order_of_fields_change_nothing() {
        let message =
            br#"{ "status" : 1, "result":{"status":"NEW","id":null},"status":  400, "id":   9 }"#;
        assert_eq!(answer_head(message), Some(AnswerHead { id: 9, status: 400 }));
    }

    #[test]
    fn a_filled_order_is_seen_in_its_execution_report() {
        assert!(is_event(REPORT.as_bytes()));
        assert_eq!(order_gone(REPORT.as_bytes()), Some(4_293_153));
        let new = REPORT.replace("FILLED", "NEW");
        assert_eq!(order_gone(new.as_bytes()), None);
        assert_eq!(answer_head(REPORT.as_bytes()), None);
    }

    #[test]
    fn what_is_not_there_is_none() {
        for message in ["", "\"", "{\"id\":", "{\"id\":null,\"status\":401}", "{\"id\":\"7\"}"] {
            assert_eq!(answer_head(message.as_bytes()), None, "{message}");
        }
        assert_eq!(text("{\"status\":\"NE", "\"status\":"), None);
        assert_eq!(number_after(b"{\"i\":99999999999999999999999}", b"\"i\":"), None);
    }
}
