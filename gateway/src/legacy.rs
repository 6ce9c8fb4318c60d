//! Listen keys: how user data was listened to until 2026-02-20. Off unless the switch is on; old
//! clients run with it.

use std::sync::Arc;

use axum::http::Method;
use protocol::Stamp;
use protocol::command::{ApiKey, key_permission};
use protocol::ids::MINUTE_NS;

use crate::core::Core;
use crate::error::ApiError;
use crate::json::{Json, TimeUnit};
use crate::outbox::Outbox;
use crate::rest::draw_listen_key;
use crate::streams::{Name, Request};
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
        self.end_listen_keys(now);
        let keys = &mut self.views.users.listen_keys;
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
            self.views.users.listen_key_ended(listen_key, now);
        }
        Ok("{}".to_owned())
    }

    /// Ends what listens with keys that have run out.
    pub fn end_listen_keys(&mut self, now: Stamp) {
        let users = &mut self.views.users;
        let over = users.listen_keys.iter().filter(|(_, (_, _, ends))| *ends <= now);
        let over: Vec<String> = over.map(|(listen_key, _)| listen_key.clone()).collect();
        for listen_key in over {
            users.listen_keys.remove(&listen_key);
            users.listen_key_ended(&listen_key, now);
        }
    }
}

fn shown(listen_key: &str) -> String {
    Json::of(TimeUnit::Millisecond, |json| json.text_field("listenKey", listen_key))
}

/// A connection of streams: names among them that are listen keys bring an account's events.
pub struct Subscriber {
    pub outbox: Arc<Outbox>,
    /// Number of the connection.
    pub connection: u64,
    pub unit: TimeUnit,
}

impl Subscriber {
    /// Listens to the accounts whose listen keys are among the names.
    pub fn join(&self, core: &mut Core, names: &[Name], is_combined: bool) {
        let now = core.now();
        for name in names {
            let Some((account, key, ends)) = core.users.listen_keys.get(&*name.text).copied()
            else {
                continue;
            };
            let listener = Listener {
                outbox: Arc::clone(&self.outbox),
                connection: self.connection,
                wrap: Wrap::Stream { name: Arc::clone(&name.text), is_combined },
                unit: self.unit,
                key,
                is_of_logon: false,
            };
            if ends > now {
                // It may listen to this account already.
                let _ = core.users.subscribe(account, listener);
            }
        }
    }

    /// Follows a message of the client that the streams have carried out.
    pub fn follow(&self, core: &mut Core, request: &Request, is_combined: bool) {
        match request {
            Request::Subscribe(names) => self.join(core, names, is_combined),
            Request::Unsubscribe(names) => {
                for name in names {
                    core.users.leave_stream(self.connection, &name.text);
                }
            }
            Request::SetCombined(_) => core.users.set_combined(self.connection, is_combined),
            Request::List | Request::GetCombined => {}
        }
    }

    pub fn disconnect(&self, core: &mut Core) {
        core.users.disconnected(self.connection);
    }
}
