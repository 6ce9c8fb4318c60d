//! The admin API: accounts and keys of every kind, money in and out, halts, mass cancels.

use std::time::{Duration, Instant};
use std::{fs, thread};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use protocol::SCALE;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

use super::api::{Trader, rows, units};
use super::child::{PATIENCE, Server, Setting};
use super::http::Http;
use super::socket::Got;

const ONE: i128 = SCALE as i128;
const NOTHING: &Value = &Value::Null;
/// Of Ed25519, a seed; in front of the public key stand its algorithm and lengths.
const SEED: [u8; 32] = *b"a seed that opens nothing at all";
const SPKI_HEAD: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Made for this test by OpenSSL; it opens nothing else.
const RSA_PRIVATE: &str = "MIIEvAIBADANBgkqhkiG9w0BAQEFAASCBKYwggSiAgEAAoIBAQDRQL0V93Kd8/0DVih7u7SxFt25ADTUgmr7vUUv9x\
    /o5u5QYe/6lI1e+ZPjXq5CA13n4j9JF3fh1h9EtyF2QG4laJEq0ZelpeJmGOzQbCzaA5PaSF+ZNM0ILVmSBdCtpDfH\
    22xgZ1KRGcjWJthIpvZm3R34dSxAjeVlpIK9M8df1HbjcVJ9dXW8k3Kfwrm0NLYixJHq9uFAUUxqbL7hgeKYhzhcWN\
    e2+J0KEv4/250H9jgXp4LtgmHGGejcuKvITDQKuzspM5ya71D27gvVWeNMxR6pFUZRDT7pxLZBQfJLEJSvkv/3fmBj\
    cKubbaFQAUcTKsDoAA6ZsibOtPSxk8bHAgMBAAECggEAAhNgOoJpS+Of5MpLJUXsiU/WR2dT+kJXySTSu9NzuxrBnX\
    leR3iHe2zwQ/J1cNHQffyNULqU9mwnO0A4FVOjPfnZeFErjE8CRva05z0iUnpbjzMi36E7N28SlhmP58qRzPyUmwQD\
    vv3e3gufpWyoqUC+vFDHJFwHBiFgZUseYsxg5LuckFRa7/8GHeLckEK6Y8nN0JugIto2reEd15rqZnJO81VD+j/53y\
    5Mha+KV+FRORC/Jq52r/noQh9XW0M40D/gBxpyy9otGSlGtLkOJzsJ6pS+j4lGS/n0/ZSJWnu/HQvZVBRn7ZcAbEcR\
    0u0PQRdC7Iox19qAbQBmKVdhgQKBgQD8scpQ6lyMNIfulaMW+ThseAo7ERIGpavT0Gi2jQFQgiSchImds9PQDQxlzg\
    uc+0Z2Ssd1xPmvL3Jm2Y/FFKoOq0HFQUkTI09Jc73vMnIc3KxO8ixq56iz3CN2l9WwIW3vpCyF63G/GEWENF2NzH+O\
    3FtASQtxY6x42MgcLkpR1wKBgQDT/Xkw7WtVeoV4gUzM7h6SjuYcvuyWMlxpMELF9uUKdn2WGJsRZiv0GWLle7BV76\
    RyVFAaIn9h+E4BvPXp86Y9zvbWsU+S6Y2nPSvQURdlt0JwV6cTe08xwH9W8kDy9z9OZh4id3Ov4lrQ5yZtCWJodaax\
    Tc6fQTZmOWgv9gp0kQKBgGGawszSWYEGYWL0hZRAG106WKlMBKxwnZgpLeklOdbBDicuwoEZjr0T7S/9kFrIbAURCU\
    4iEVdrekLj0jaLrswPtk3c078CqoNyo3CbCZzAWAX+YM3CQVWHuGL8btujbfVccp4fvUXUuDVCjMhSrwqdbtm73SGl\
    IF9lTJYmAyrtAoGAcMHTM4YlYEsSMV29JwfFNTlTBpk7KEzTQJQOAFRp0Z3jAPJHkQKigGz8YIng6mTUOIfGL5CH5u\
    l3PI9w0ibqFtg+DUY0yDT4RqtP4bcwVccbTLwiv0cIgbMdSHcEuvduMdo5TyXwX+5rVdCNbNPgByYFKyvyqly6fbct\
    Rs19FDECgYBVuYFQq9oae+B/MVD5ik6/W9y3VFXcGuEtIDx3AMibjXSDeIhnqP2CdGBT7I0Ih0Mi3A7sipUnOuVqzb\
    XtEsRKj0UthF3QtvIkKsGv/YZ05SgHXN2Nnaxnc8Ay2InEkTobaooq8jdkQ1F1+dSeFaEQ9+CFTdYiETFEjavXNV8u\
    hA==";
const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA0UC9FfdynfP9A1Yoe7u0
sRbduQA01IJq+71FL/cf6ObuUGHv+pSNXvmT416uQgNd5+I/SRd34dYfRLchdkBu
JWiRKtGXpaXiZhjs0Gws2gOT2khfmTTNCC1ZkgXQraQ3x9tsYGdSkRnI1ibYSKb2
Zt0d+HUsQI3lZaSCvTPHX9R243FSfXV1vJNyn8K5tDS2IsSR6vbhQFFMamy+4YHi
mIc4XFjXtvidChL+P9udB/Y4F6eC7YJhxhno3LiryEw0Crs7KTOcmu9Q9u4L1Vnj
TMUeqRVGUQ0+6cS2QUHySxCUr5L/935gY3Crm22hUAFHEyrA6AAOmbImzrT0sZPG
xwIDAQAB
-----END PUBLIC KEY-----";

#[test]
fn an_operator_rules_accounts_keys_money_and_markets() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "");
    let server = setting.start();
    nobody_else_may(&server);
    accounts_are_made_and_changed(&server);
    keys_of_every_kind_sign(&server);
    a_key_that_is_deleted_is_cut_off(&server);
    money_comes_and_goes(&server);
    a_halt_stops_orders_and_lets_cancels_pass(&server);
    orders_are_canceled_for_whom_it_concerns(&server);
    state_and_snapshot(&server, &setting);
    server.stop();
    // What was made lasts.
    let server = setting.start();
    let accounts = server.admin("GET", "accounts/carol", NOTHING).ok();
    assert_eq!((&accounts["name"], &accounts["tradeGroup"]), (&json!("carol"), &json!(9)));
    ed25519(&server).balances();
    rsa(&server).balances();
    server.stop();
}

fn nobody_else_may(server: &Server) {
    let mut http = Http::new(&server.http);
    for path in ["state", "accounts", "keys", "nothing"] {
        let target = format!("/admin/v1/{path}");
        assert_eq!(http.get(&target).status, 401, "{path}");
        for wrong in ["Bearer ", "Bearer wrong", "Basic dG9rZW4=", &server.token] {
            let reply = http.request("GET", &target, &[("Authorization", wrong)], "");
            assert_eq!(reply.refusal(), (401, -1000), "{wrong}");
        }
    }
    assert_eq!(server.admin("GET", "nothing", NOTHING).status, 404);
    assert_eq!(server.admin("POST", "state", NOTHING).status, 404);
    assert_eq!(server.admin("POST", "accounts", &json!("x".repeat(100_000))).status, 413);
}

fn accounts_are_made_and_changed(server: &Server) {
    let check = |body: Value, status| {
        let reply = server.admin("POST", "accounts", &body);
        assert_eq!(reply.status, status, "{body}: {}", reply.text);
    };
    check(json!({}), 400);
    check(json!({ "name": "" }), 400);
    check(json!({ "name": "x".repeat(33) }), 400);
    check(json!({ "name": "carol", "color": "red" }), 400);
    check(json!({ "name": "carol", "permissions": ["FLY"] }), 400);
    check(json!({ "name": "carol", "permissions": ["TRADE", "DEPOSIT", "WITHDRAW"] }), 200);
    check(json!({ "name": "carol" }), 409);
    let changed = server.admin("PUT", "accounts/carol", &json!({ "tradeGroup": 9 })).ok();
    assert_eq!(
        (&changed["tradeGroup"], &changed["permissions"]),
        (&json!(9), &json!(["TRADE", "DEPOSIT", "WITHDRAW"]))
    );
    assert_eq!(server.admin("GET", "accounts/nobody", NOTHING).status, 404);
    assert_eq!(server.admin("PUT", "accounts/nobody", &json!({})).status, 404);
    let accounts = server.admin("GET", "accounts", NOTHING).ok();
    assert!(rows(&accounts).iter().any(|it| it["name"] == "carol"), "{accounts}");
}

fn ed25519(server: &Server) -> Trader {
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    let sign = move |text: &str| BASE64.encode(pair.sign(text.as_bytes()));
    Trader::signing(server, "carol-ed25519", Box::new(sign))
}

fn rsa(server: &Server) -> Trader {
    let pair = RsaKeyPair::from_pkcs8(&BASE64.decode(RSA_PRIVATE).unwrap()).unwrap();
    let sign = move |text: &str| {
        let mut signature = vec![0; pair.public().modulus_len()];
        let random = SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature).unwrap();
        BASE64.encode(signature)
    };
    Trader::signing(server, "carol-rsa", Box::new(sign))
}

fn keys_of_every_kind_sign(server: &Server) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    let spki = BASE64.encode([SPKI_HEAD, pair.public_key().as_ref()].concat());
    let add = |body: Value| server.admin("POST", "accounts/carol/keys", &body);
    let drawn = server.key("carol", &["TRADE", "USER_DATA"]);
    assert_eq!((drawn.key.len(), drawn.secret.len()), (64, 64));
    Trader::new(server, &drawn).balances();
    let named = add(json!({ "key": "carol-hmac", "secret": "known" })).ok();
    assert_eq!(named["secret"], *NOTHING, "a secret that was sent is not shown");
    Trader::new(server, &clients::Credentials::new("carol-hmac", "known")).balances();
    let made = add(json!({ "key": "carol-ed25519", "publicKey": spki })).ok();
    assert_eq!((&made["kind"], &made["isUsable"]), (&json!("ED25519"), &json!(true)));
    ed25519(server).balances();
    assert_eq!(add(json!({ "key": "carol-rsa", "publicKey": RSA_PUBLIC })).ok()["kind"], "RSA");
    rsa(server).balances();
    // Signed by one key in another's name.
    let mut forged = rsa(server);
    forged.key = "carol-ed25519".to_owned();
    assert_eq!(forged.call("GET", "/api/v3/account", &[]).refusal(), (400, -1022));
    let check = |body: Value, status| {
        let reply = add(body.clone());
        assert_eq!(reply.refusal(), (status, -1000), "{body}: {}", reply.text);
    };
    check(json!({ "key": "carol-rsa" }), 409);
    check(json!({ "key": "two words" }), 400);
    check(json!({ "secret": "" }), 400);
    check(json!({ "secret": "a", "publicKey": spki }), 400);
    check(json!({ "publicKey": "bm90IGEga2V5" }), 400);
    check(json!({ "publicKey": spki, "kind": "RSA" }), 400);
    check(json!({ "publicKey": RSA_PUBLIC.replace("PUBLIC", "PRIVATE") }), 400);
    check(json!({ "permissions": ["EVERYTHING"] }), 400);
    assert_eq!(server.admin("POST", "accounts/nobody/keys", &json!({})).status, 404);
    let listed = server.admin("GET", "accounts/carol/keys", NOTHING).ok();
    assert_eq!(rows(&listed).len(), 4);
    let all = server.admin("GET", "keys", NOTHING).text;
    assert!(!all.contains("secret") && !all.contains(&drawn.secret), "{all}");
}

fn a_key_that_is_deleted_is_cut_off(server: &Server) {
    let key = server.key("carol", &["USER_DATA", "TRADE"]);
    let mut trader = Trader::new(server, &key);
    let mut socket = server.logged_on(&key);
    socket.ok("userDataStream.subscribe", &json!({}));
    let path = format!("keys/{}", key.key);
    server.admin("PUT", &path, &json!({ "permissions": ["USER_DATA"] })).ok();
    assert_eq!(trader.limit("LTCUSDT", "BUY", "1", "90").refusal(), (401, -2015));
    server.admin("DELETE", &path, NOTHING).ok();
    let notice = socket.next();
    assert_eq!(notice["event"]["e"], "eventStreamTerminated", "{notice}");
    let refused = socket.call("account.status", &json!({ "timestamp": super::api::now_ms() }));
    assert_eq!(refused["error"]["code"], -2015, "{refused}");
    assert_eq!(trader.call("GET", "/api/v3/account", &[]).refusal(), (401, -2015));
    assert_eq!(server.admin("DELETE", &path, NOTHING).status, 404);
}

fn money_comes_and_goes(server: &Server) {
    let key = server.key("carol", &["USER_DATA"]);
    let (mut trader, mut socket) = (Trader::new(server, &key), server.logged_on(&key));
    socket.ok("userDataStream.subscribe", &json!({}));
    let moved = |what: &str, id: &str, asset: &str, amount: &str| {
        let body = json!({ "id": id, "account": "carol", "asset": asset, "amount": amount });
        server.admin("POST", what, &body)
    };
    moved("deposits", "in/1", "USDT", "1000.5").ok();
    assert_eq!(moved("deposits", "in/1", "USDT", "1000.5").status, 409, "executed twice");
    let update = socket.find(|it| it["event"]["e"] == "balanceUpdate");
    assert_eq!(
        (&update["event"]["a"], units(&update["event"]["d"])),
        (&json!("USDT"), 1_000 * ONE + ONE / 2)
    );
    assert_eq!(trader.balances()["USDT"], (1_000 * ONE + ONE / 2, 0));
    moved("withdrawals", "out/1", "USDT", "0.5").ok();
    let update = socket.find(|it| it["event"]["e"] == "balanceUpdate");
    assert_eq!(units(&update["event"]["d"]), -ONE / 2);
    let check = |what: &str, asset: &str, amount: &str, status| {
        let reply = moved(what, &format!("{what}/{asset}/{amount}"), asset, amount);
        assert_eq!(reply.status, status, "{what} {amount} {asset}: {}", reply.text);
    };
    check("withdrawals", "USDT", "1000.00000001", 400);
    check("withdrawals", "BTC", "1", 400);
    check("deposits", "USDT", "0", 400);
    check("deposits", "USDT", "-1", 400);
    check("deposits", "USDT", "1e3", 400);
    check("deposits", "GOLD", "1", 404);
    let nobody = json!({ "account": "nobody", "asset": "USDT", "amount": "1" });
    assert_eq!(server.admin("POST", "deposits", &nobody).status, 404);
    assert_eq!(trader.balances()["USDT"], (1_000 * ONE, 0));
    // An account position may accompany a transfer; nothing else does.
    while let Got::Message(message) = socket.next_within(Duration::from_millis(100)) {
        assert_eq!(message["event"]["e"], "outboundAccountPosition", "{message}");
    }
}

fn a_halt_stops_orders_and_lets_cancels_pass(server: &Server) {
    let mut trader = server.trader("demo-a");
    let order = trader.limit("LTCUSDT", "BUY", "1", "90").ok()["orderId"].to_string();
    let set = |status: &str| {
        server.admin("PUT", "instruments/LTCUSDT/status", &json!({ "status": status }))
    };
    set("HALT").ok();
    let refused = trader.limit("LTCUSDT", "BUY", "1", "90");
    assert_eq!(refused.refusal(), (400, -2010));
    assert_eq!(refused.json()["msg"], "Market is closed.");
    let info = Http::new(&server.http).get("/api/v3/exchangeInfo?symbol=LTCUSDT").ok();
    assert_eq!(info["symbols"][0]["status"], "HALT");
    let one = [("symbol", "LTCUSDT"), ("orderId", &*order)];
    assert_eq!(trader.call("DELETE", "/api/v3/order", &one).ok()["status"], "CANCELED");
    trader.limit("BTCUSDT", "BUY", "0.001", "50000").ok();
    trader.call("DELETE", "/api/v3/openOrders", &[("symbol", "BTCUSDT")]).ok();
    assert_eq!(set("OPEN").status, 400);
    assert_eq!(set("HALT").status, 409, "it is halted");
    set("TRADING").ok();
    trader.limit("LTCUSDT", "BUY", "1", "90").ok();
    trader.call("DELETE", "/api/v3/openOrders", &[("symbol", "LTCUSDT")]).ok();
    let unknown = json!({ "status": "HALT" });
    assert_eq!(server.admin("PUT", "instruments/NOTHING/status", &unknown).status, 404);
}

fn orders_are_canceled_for_whom_it_concerns(server: &Server) {
    let (mut a, mut b) = (server.trader("demo-a"), server.trader("demo-b"));
    let place = |trader: &mut Trader, symbol: &str, quantity: &str, price: &str| {
        trader.limit(symbol, "BUY", quantity, price).ok();
    };
    let mut place_all = || {
        for trader in [&mut a, &mut b] {
            place(trader, "LTCUSDT", "1", "90");
            place(trader, "LTCUSDT", "1", "91");
            place(trader, "BTCUSDT", "0.001", "50000");
        }
    };
    let cancel = |query: &str| {
        let done = server.admin("DELETE", &format!("orders{query}"), NOTHING);
        done.ok()["canceled"].as_u64().unwrap()
    };
    place_all();
    assert_eq!(cancel("?account=demo-a&symbol=LTCUSDT"), 2);
    assert_eq!(cancel("?account=demo-a"), 1);
    assert_eq!(cancel("?symbol=LTCUSDT"), 2);
    assert_eq!(cancel(""), 1);
    place_all();
    assert_eq!((cancel(""), cancel("")), (6, 0));
    assert_eq!(server.admin("DELETE", "orders?account=nobody", NOTHING).status, 404);
    assert_eq!(server.admin("DELETE", "orders?symbol=NOTHING", NOTHING).status, 404);
    assert_eq!(a.get("/api/v3/openOrders", &[]), json!([]));
    assert_eq!(b.balances()["USDT"].1, 0, "locked for nothing");
}

fn state_and_snapshot(server: &Server, setting: &Setting) {
    let state = server.admin("GET", "state", NOTHING).ok();
    assert_eq!((&state["isRunning"], &state["pending"]), (&json!(true), &json!(0)));
    let sequence = state["sequence"].as_u64().unwrap();
    assert!(sequence > 0, "{state}");
    for cursor in ["appended", "committed", "applied", "published"] {
        assert!(state["cursors"][cursor]["sequence"].as_u64() >= Some(sequence), "{state}");
    }
    let taken = || fs::read_dir(setting.data().join("snapshots")).map_or(0, Iterator::count);
    let before = taken();
    assert_eq!(server.admin("POST", "snapshot", NOTHING).ok(), json!({ "requested": true }));
    let deadline = Instant::now() + PATIENCE;
    while taken() == before {
        assert!(Instant::now() < deadline, "no snapshot");
        thread::park_timeout(Duration::from_millis(5));
    }
}
