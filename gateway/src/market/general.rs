//! The venue as a whole: is it there, what time is it, what is traded by which rules.

use marketdata::{Instrument, Market};
use protocol::RateLimitKind;
use protocol::command::VenueLimits;
use protocol::instrument::flag;

use super::read;
use crate::core::Core;
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::exchange_info::shape::permission_bit;
use crate::exchange_info::{Shown, exchange_filters, symbol};
use crate::json::Json;
use crate::limits::Rules;
use crate::params::Params;

/// What nobody can do here. Whatever a definition says, it is not shown as allowed.
const MISSING: u32 = flag::MARGIN;

/// Permissions of the symbols that are shown when none are asked for.
const SHOWN_UNASKED: &[&str] = &["SPOT", "MARGIN", "LEVERAGED"];

/// `ping`.
pub(super) fn ping() -> String {
    "{}".to_owned()
}

/// `time`.
pub(super) fn time(call: &Call<'_>) -> String {
    Json::of(call.unit, |json| json.time_field("serverTime", call.now))
}

/// What `exchangeInfo` shows besides symbols.
#[derive(Debug)]
pub(super) struct Venue<'a> {
    pub(super) rules: &'a Rules,
    /// Connection attempts in five minutes; 0 is no limit.
    pub(super) connects_max: u32,
    pub(super) limits: VenueLimits,
}

impl Venue<'_> {
    pub(super) fn of(core: &Core) -> Venue<'_> {
        Venue {
            rules: &core.limits.rules,
            connects_max: core.options.connects_per_five_minutes,
            limits: core.accounts.limits,
        }
    }

    /// The WebSocket API shows the limit of connections in place of that of raw requests.
    fn rate_limits(&self, json: &mut Json, is_socket: bool) {
        let shown = |kind| !is_socket || kind != RateLimitKind::RawRequests;
        for rule in self.rules.iter().filter(|rule| shown(rule.kind)) {
            let (kind, interval) = (rule.kind.as_str(), rule.interval.as_str());
            json.object(|json| rate_limit(json, kind, interval, rule.interval_count, rule.limit));
        }
        if is_socket && self.connects_max > 0 {
            json.object(|json| rate_limit(json, "CONNECTIONS", "MINUTE", 5, self.connects_max));
        }
    }
}

fn rate_limit(json: &mut Json, kind: &str, interval: &str, interval_count: u32, limit: u32) {
    json.text_field("rateLimitType", kind);
    json.text_field("interval", interval);
    json.number_field("intervalNum", interval_count);
    json.number_field("limit", limit);
}

/// `exchangeInfo`.
pub(super) fn exchange_info(
    market: &Market,
    venue: &Venue<'_>,
    call: &Call<'_>,
) -> Result<String, ApiError> {
    let permission_sets = call.params.boolean("showPermissionSets")?.unwrap_or(true);
    let shown = Shown { flags: !MISSING, permission_sets };
    let symbols = symbols(market, call.params)?;
    Ok(Json::of(call.unit, |json| {
        json.text_field("timezone", "UTC");
        json.time_field("serverTime", call.now);
        json.array_field("rateLimits", |json| venue.rate_limits(json, call.is_socket));
        json.array_field("exchangeFilters", |json| exchange_filters(json, &venue.limits));
        json.array_field("symbols", |json| {
            for instrument in symbols {
                json.object(|json| symbol(json, &instrument.definition, shown));
            }
        });
    }))
}

/// By name, or by permission and status.
fn symbols<'a>(market: &'a Market, params: &Params<'_>) -> Result<Vec<&'a Instrument>, ApiError> {
    let is_named = params.has("symbol") || params.has("symbols");
    if is_named && (params.has("permissions") || params.has("symbolStatus")) {
        return Err(ApiError::bad_combination());
    }
    if let Some(asked) = read::named_by(market, params)? {
        return Ok(asked.list().to_vec());
    }
    let (permissions, status) = (permissions(params)?, read::status(params)?);
    let is_shown = |it: &&Instrument| {
        it.definition.permissions & permissions != 0 && read::matches(it, status).is_ok()
    };
    Ok(market.instruments().filter(is_shown).collect())
}

/// `permissions`: one, or a list.
fn permissions(params: &Params<'_>) -> Result<u32, ApiError> {
    let set = |names: &[&str]| {
        let bits = names.iter().map(|name| permission_bit(name));
        bits.reduce(|set, bit| Some(set? | bit?)).flatten()
    };
    let set = match params.get("permissions") {
        None => set(SHOWN_UNASKED),
        Some(list) if list.starts_with('[') => {
            let names = params.list("permissions")?.unwrap_or_default();
            set(&names.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Some(name) => set(&[name]),
    };
    set.ok_or_else(|| ApiError::invalid("permissions"))
}
