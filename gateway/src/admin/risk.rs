//! What accounts may do at most, and the kill switches.

use protocol::command::{AccountName, RiskLimits, SetKillSwitch, SetRiskLimits};
use protocol::instrument::Symbol;
use protocol::{AccountId, Envelope, InstrumentId};
use serde::Deserialize;

use super::{Admin, Answered, amount, decimal, find, find_instrument, list, object};
use crate::core::Core;
use crate::error::ApiError;
use crate::exchange_info::shape::decimal_text;
use crate::json::Json;

/// What is left out is no limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NewLimits {
    account: Option<String>,
    symbol: Option<String>,
    order_notional_max: Option<String>,
    #[serde(default)]
    open_orders_max: u32,
    day_quantity_max: Option<String>,
    collar: Option<String>,
}

impl NewLimits {
    fn limits(&self) -> Result<RiskLimits, ApiError> {
        let of = |name: &str, asked: &Option<String>| match asked {
            Some(text) => amount(name, text),
            None => Ok(protocol::Amount::ZERO),
        };
        Ok(RiskLimits {
            order_notional_max: of("orderNotionalMax", &self.order_notional_max)?,
            open_orders_max: self.open_orders_max,
            day_quantity_max: of("dayQuantityMax", &self.day_quantity_max)?,
            collar: self.collar.as_ref().map_or(Ok(0), |text| decimal("collar", text))?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSwitch {
    engaged: bool,
}

/// Whose limits: names as they are sent, empty for all.
struct Entry {
    account: AccountName,
    symbol: Symbol,
    ids: (AccountId, InstrumentId),
}

impl Entry {
    fn of(core: &Core, account: Option<&str>, symbol: Option<&str>) -> Result<Entry, ApiError> {
        let account = account.map(|name| find(core, name)).transpose()?;
        let instrument = symbol.map(|symbol| find_instrument(core, symbol)).transpose()?;
        Ok(Entry {
            account: account.map_or(AccountName::EMPTY, |it| it.name),
            symbol: instrument.map_or(Symbol::EMPTY, |it| it.definition.symbol),
            ids: (
                account.map_or(AccountId::NONE, |it| it.id),
                instrument.map_or(InstrumentId::NONE, |it| it.id),
            ),
        })
    }
}

fn write_limits(json: &mut Json, entry: &Entry, limits: &RiskLimits) {
    let name = |json: &mut Json, name: &str, text: &str| match text {
        "" => json.null_field(name),
        text => json.text_field(name, text),
    };
    name(json, "account", entry.account.as_str());
    name(json, "symbol", entry.symbol.as_str());
    json.decimal_field("orderNotionalMax", limits.order_notional_max);
    json.number_field("openOrdersMax", limits.open_orders_max);
    json.decimal_field("dayQuantityMax", limits.day_quantity_max);
    json.text_field("collar", &decimal_text(u128::from(limits.collar)));
}

impl Admin<'_> {
    pub(super) fn risk(&self) -> Answered {
        let core = self.core()?;
        Ok(list(|json| {
            for (account, instrument, limits) in core.controls.risk() {
                let entry = Entry {
                    account: core
                        .accounts
                        .account(account)
                        .map_or(AccountName::EMPTY, |it| it.name),
                    symbol: core
                        .market
                        .instrument(instrument)
                        .map_or(Symbol::EMPTY, |it| it.definition.symbol),
                    ids: (account, instrument),
                };
                json.object(|json| write_limits(json, &entry, limits));
            }
        }))
    }

    /// The entry as a whole: limits that are not sent are none afterwards.
    pub(super) async fn set_risk(&self) -> Answered {
        let asked: NewLimits = self.read()?;
        let limits = asked.limits()?;
        let entry = Entry::of(&*self.core()?, asked.account.as_deref(), asked.symbol.as_deref())?;
        self.limit(entry, limits).await
    }

    pub(super) async fn remove_risk(&self) -> Answered {
        self.only(&["account", "symbol"])?;
        let (account, symbol) = (self.asked("account")?, self.asked("symbol")?);
        let entry = Entry::of(&*self.core()?, account.as_deref(), symbol.as_deref())?;
        self.limit(entry, RiskLimits::default()).await
    }

    async fn limit(&self, entry: Entry, limits: RiskLimits) -> Answered {
        let (account, symbol, envelope) = (entry.account, entry.symbol, Envelope::INTERNAL);
        self.done(SetRiskLimits { envelope, account, symbol, limits }).await?;
        let core = self.core()?;
        let stands = core.controls.risk_of(entry.ids.0, entry.ids.1);
        Ok(object(|json| write_limits(json, &entry, &stands)))
    }

    /// `GET kill-switch`: that of the venue, and whose else is engaged.
    pub(super) fn kill_switches(&self) -> Answered {
        let core = self.core()?;
        Ok(object(|json| {
            json.flag_field("engaged", core.controls.is_venue_stopped);
            json.array_field("accounts", |json| {
                let stopped = core.controls.stopped.iter();
                let names = stopped.filter_map(|id| core.accounts.account(*id));
                names.for_each(|account| json.text(account.name.as_str()));
            });
        }))
    }

    pub(super) fn kill_switch(&self, name: &str) -> Answered {
        let core = self.core()?;
        let engaged = core.controls.stopped.contains(&find(&core, name)?.id);
        Ok(object(|json| json.flag_field("engaged", engaged)))
    }

    /// Of an account, or of the venue.
    pub(super) async fn set_kill_switch(&self, name: Option<&str>) -> Answered {
        let NewSwitch { engaged } = self.read()?;
        let account = match name {
            Some(name) => find(&*self.core()?, name)?.name,
            None => AccountName::EMPTY,
        };
        self.done(SetKillSwitch { envelope: Envelope::INTERNAL, account, engaged }).await?;
        match name {
            Some(name) => self.kill_switch(name),
            None => self.kill_switches(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_are_left_out_are_none() {
        let limits = |text: &str| serde_json::from_str::<NewLimits>(text).unwrap().limits();
        assert_eq!(limits("{}"), Ok(RiskLimits::default()));
        let some = limits("{\"account\":\"a\",\"openOrdersMax\":7,\"collar\":\"0.05\"}").unwrap();
        let expected =
            RiskLimits { open_orders_max: 7, collar: 5_000_000, ..RiskLimits::default() };
        assert_eq!(some, expected);
        let error = limits("{\"dayQuantityMax\":\"-1\"}").unwrap_err();
        assert!(error.message.starts_with("dayQuantityMax: "), "{}", error.message);
        assert!(serde_json::from_str::<NewLimits>("{\"openOrdersMax\":-1}").is_err());
    }
}
