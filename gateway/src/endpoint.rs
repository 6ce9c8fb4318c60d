//! One request of the venue, the same over REST and over the WebSocket API: what it is called, what
//! it may carry, what it costs, and the function that answers it.

use axum::http::Method;
use protocol::{AccountId, ApiKey, Command, Stamp};

use crate::core::Core;
use crate::error::ApiError;
use crate::json::TimeUnit;
use crate::params::Params;
use crate::pending::Expect;

/// Who asks: the account behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    pub account: AccountId,
    pub key: ApiKey,
    /// Since when the key is this account's with this secret: another of the same text is another.
    pub since: Stamp,
}

/// A request whose parameters are known and whose signature was checked.
#[derive(Debug)]
pub struct Call<'a> {
    pub params: &'a Params<'a>,
    pub unit: TimeUnit,
    /// The exchange's time when it came.
    pub now: Stamp,
    /// Past it an order command is refused.
    pub deadline: Stamp,
    /// Of signed requests.
    pub caller: Option<Caller>,
    /// Over the WebSocket API.
    pub is_socket: bool,
}

impl Call<'_> {
    /// Whoever signed; an endpoint whose security asks for a signature always has one.
    pub fn account(&self) -> Result<AccountId, ApiError> {
        self.caller.map(|caller| caller.account).ok_or_else(ApiError::key)
    }
}

/// What a caller has to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Nothing; a key that is sent is not looked at.
    None,
    /// A signed request of a key with the permission USER_DATA.
    UserData,
    /// A signed request of a key with the permission TRADE.
    Trade,
}

/// A command, and what the request expects of it.
pub type Asked = Result<(Command, Expect), ApiError>;

/// What answers a request.
#[derive(Clone, Copy)]
pub enum Run {
    /// From the views, at once: the JSON of the result.
    Query(fn(&Core, &Call<'_>) -> Result<String, ApiError>),
    /// By a command whose events are the answer.
    Command(fn(&Core, &Call<'_>) -> Asked),
}

/// One row of the API.
pub struct Endpoint {
    /// Method of the WebSocket API; empty when there is none.
    pub method: &'static str,
    /// Verb and path of REST; an empty path when there is none.
    pub rest: (Method, &'static str),
    pub security: Security,
    /// Checked first of all, before the signature.
    pub mandatory: &'static [&'static str],
    /// Others that it reads. What is in neither list is refused (-1104).
    pub optional: &'static [&'static str],
    pub weight: fn(&Params<'_>) -> u32,
    pub run: Run,
}

/// Parameters that any signed request may carry.
pub const SIGNED: &[&str] = &["timestamp", "recvWindow", "signature", "apiKey"];
/// Parameters that any request may carry without effect on its result.
pub const COMMON: &[&str] =
    &["returnRateLimits", "responseFormat", "sbeSchemaId", "sbeSchemaVersion"];

/// Every endpoint costs something; most always the same.
pub fn weight<const W: u32>(_: &Params<'_>) -> u32 {
    W
}
