//! Listen keys: how user data was listened to until 2026-02-20. Off unless the switch is on; old
//! clients run with it.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket};
use axum::http::Method;
use futures_util::StreamExt;
use protocol::Stamp;
use protocol::command::{ApiKey, key_permission};
use protocol::ids::MINUTE_NS;

use crate::core::Core;
use crate::endpoint::Caller;
use crate::error::ApiError;
use crate::gateway::{Admitted, Gateway};
use crate::json::{Json, TimeUnit};
use crate::outbox::Outbox;
use crate::rest::draw_listen_key;
use crate::socket::{Life, Written, write};
use crate::users::{Listener, Wrap};

/// A key lives this long after it was made or asked to live on.
const LIFE_NS: u64 = 60 * MINUTE_NS;
/// Keys at once.
const KEYS_MAX: usize = 4_096;

fn unknown() -> ApiError {
    ApiError::new(-1125, "This listenKey does not exist.")
}

impl Core {
    /// `POST`, `PUT` and `DELETE userDataStream`: an API key is enough, nothing is signed.
    pub fn listen_key(
        &mut self,
        verb: &Method,
        key: Option<&str>,
        listen_key: Option<&str>,
    ) -> Result<String, ApiError> {
        let key = key.and_then(|key| ApiKey::new(key).ok());
        let key = key.ok_or_else(|| ApiError::new(-2014, "API-key format invalid."))?;
        let known = self.accounts.keys.get(&key).ok_or_else(ApiError::key)?;
        if !known.may(key_permission::USER_DATA) {
            return Err(ApiError::key());
        }
        let (account, now) = (known.account, self.now());
        let ends = Stamp(now.0.saturating_add(LIFE_NS));
        let keys = &mut self.views.users.listen_keys;
        keys.retain(|_, (_, _, ends)| *ends > now);
        if *verb == Method::POST {
            // Asking again gives the same key and a new hour.
            let own = keys.iter_mut().find(|(_, it)| it.0 == account && it.1 == key);
            if let Some((listen_key, entry)) = own {
                entry.2 = ends;
                return Ok(shown(listen_key));
            }
            if keys.len() >= KEYS_MAX {
                return Err(ApiError::busy());
            }
            let listen_key = draw_listen_key(self.views.host.as_ref())?;
            let text = shown(&listen_key);
            self.views.users.listen_keys.insert(listen_key, (account, key, ends));
            return Ok(text);
        }
        let listen_key = listen_key.ok_or_else(|| ApiError::mandatory("listenKey"))?;
        let entry = keys.get_mut(listen_key).filter(|it| it.0 == account).ok_or_else(unknown)?;
        if *verb == Method::PUT {
            entry.2 = ends;
        } else {
            keys.remove(listen_key);
        }
        Ok("{}".to_owned())
    }
}

fn shown(listen_key: &str) -> String {
    Json::of(TimeUnit::Millisecond, |json| json.text_field("listenKey", listen_key))
}

/// Whose events a socket opened at `/ws/<listenKey>` gets.
pub fn listener_of(gateway: &Gateway, names: &[String]) -> Option<Caller> {
    let [name] = names else { return None };
    let core = gateway.core();
    let (account, key, ends) = *core.users.listen_keys.get(name)?;
    (ends > core.now()).then_some(Caller { account, key })
}

/// Serves one such socket: bare events.
pub async fn serve(
    gateway: Arc<Gateway>,
    mut socket: WebSocket,
    caller: Caller,
    unit: TimeUnit,
    admitted: Admitted,
) {
    let outbox = Arc::new(Outbox::new(gateway.options.outbox));
    let connection = gateway.next_connection();
    let listener = Listener {
        outbox: Arc::clone(&outbox),
        connection,
        wrap: Wrap::Bare,
        unit,
        key: caller.key,
        is_of_logon: false,
    };
    if gateway.core().users.subscribe(caller.account, listener).is_err() {
        return;
    }
    let (mut life, mut waiting) = (Life::new(&gateway.options), Vec::new());
    loop {
        tokio::select! {
            biased;
            () = outbox.ready() => {}
            message = socket.next() => match message {
                Some(Ok(Message::Pong(_))) => life.pong(),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
            ping = life.tick() => match ping {
                Ok(ping) => waiting.push(ping),
                Err(close) => outbox.close(close),
            },
        }
        if write(&mut socket, &outbox, &mut waiting).await == Written::Over {
            break;
        }
    }
    gateway.core().users.disconnected(connection);
    drop(admitted);
}
