//! What an account may ask about itself.

use protocol::command::account_permission;
use protocol::{AssetId, instrument::filter};

use super::instrument;
use crate::accounts::{Balance, Rates};
use crate::answers::no_discount;
use crate::core::Core;
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::exchange_info::{exchange_filters, filters};
use crate::json::Json;
use crate::pending::limits;

type Found = Result<String, ApiError>;

/// `makerCommission` counts basis points, rates count 10^-8.
const UNITS_PER_BASIS_POINT: u32 = 10_000;

/// `GET /api/v3/account`
pub(super) fn account(core: &Core, call: &Call<'_>) -> Found {
    let id = call.account()?;
    let account = core.accounts.account(id).ok_or_else(ApiError::key)?;
    let omits_zero = call.params.boolean("omitZeroBalances")?.unwrap_or(false);
    let rates = core.accounts.rates_anywhere(id);
    let balance = |asset: AssetId| account.balances.get(&asset).copied().unwrap_or_default();
    Ok(Json::of(call.unit, |json| {
        json.number_field("makerCommission", rates.maker / UNITS_PER_BASIS_POINT);
        json.number_field("takerCommission", rates.taker / UNITS_PER_BASIS_POINT);
        json.number_field("buyerCommission", 0);
        json.number_field("sellerCommission", 0);
        json.object_field("commissionRates", |json| four_rates(json, rates));
        json.flag_field("canTrade", account.may(account_permission::TRADE));
        json.flag_field("canWithdraw", account.may(account_permission::WITHDRAW));
        json.flag_field("canDeposit", account.may(account_permission::DEPOSIT));
        json.flag_field("brokered", false);
        json.flag_field("requireSelfTradePrevention", false);
        json.flag_field("preventSor", false);
        json.time_field("updateTime", account.updated);
        json.text_field("accountType", "SPOT");
        json.array_field("balances", |json| {
            for (asset, name) in core.market.assets() {
                let balance = balance(asset);
                if omits_zero && balance == Balance::default() {
                    continue;
                }
                json.object(|json| {
                    json.text_field("asset", name.as_str());
                    json.decimal_field("free", balance.free);
                    json.decimal_field("locked", balance.locked);
                });
            }
        });
        json.array_field("permissions", |json| json.text("SPOT"));
        json.number_field("uid", id.0);
    }))
}

fn four_rates(json: &mut Json, rates: Rates) {
    json.fixed_field("maker", i128::from(rates.maker), 8);
    json.fixed_field("taker", i128::from(rates.taker), 8);
    json.fixed_field("buyer", 0, 8);
    json.fixed_field("seller", 0, 8);
}

/// `GET /api/v3/account/commission`
pub(super) fn commission(core: &Core, call: &Call<'_>) -> Found {
    let (account, instrument) = (call.account()?, instrument(core, call.params)?);
    let rates = core.accounts.rates(account, instrument.id);
    Ok(Json::of(call.unit, |json| {
        json.text_field("symbol", instrument.definition.symbol.as_str());
        json.object_field("standardCommission", |json| four_rates(json, rates));
        json.object_field("specialCommission", |json| four_rates(json, Rates::default()));
        json.object_field("taxCommission", |json| four_rates(json, Rates::default()));
        no_discount(json);
    }))
}

/// `GET /api/v3/rateLimit/order`
pub(super) fn order_rate_limits(core: &Core, call: &Call<'_>) -> Found {
    let counts = core.order_counts(call.account()?, call.now);
    Ok(Json::list(call.unit, |json| limits(json, counts.iter())))
}

/// The filters that look at what else an account has or did.
const OF_ACCOUNT: u32 = filter::MAX_NUM_ORDERS
    | filter::MAX_NUM_ALGO_ORDERS
    | filter::MAX_NUM_ICEBERG_ORDERS
    | filter::MAX_NUM_ORDER_AMENDS
    | filter::MAX_NUM_ORDER_LISTS
    | filter::MAX_POSITION;

/// `GET /api/v3/myFilters`
pub(super) fn my_filters(core: &Core, call: &Call<'_>) -> Found {
    call.account()?;
    let definition = &instrument(core, call.params)?.definition;
    Ok(Json::of(call.unit, |json| {
        json.array_field("exchangeFilters", |json| exchange_filters(json, &core.accounts.limits));
        json.array_field("symbolFilters", |json| filters(json, definition, OF_ACCOUNT));
        json.array_field("assetFilters", |_| {});
    }))
}

/// `GET /api/v3/myAllocations`: without smart order routing nobody has any.
pub(super) fn allocations(core: &Core, call: &Call<'_>) -> Found {
    instrument(core, call.params)?;
    call.account()?;
    Ok("[]".to_owned())
}
