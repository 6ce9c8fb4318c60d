//! Orders of others: cancel many, replace one, tell the life of one.

use std::sync::Arc;

use protocol::command::{MassCancel, ReplaceOrder};
use protocol::{AccountId, Envelope, InstrumentId, MassCancelCause, OrderId, Price, Quantity};
use serde::Deserialize;

use super::{Admin, Answered, decimal, find, find_instrument, object, refusal};
use crate::error::ApiError;
use crate::link::Untold;
use crate::pending::Expect;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTerms {
    price: String,
    /// What is open afterwards.
    quantity: String,
}

impl Admin<'_> {
    /// Cancels open orders: of an account, on a symbol, of both, or all there are.
    pub(super) async fn cancel_all(&self) -> Answered {
        self.only(&["account", "symbol"])?;
        let command = {
            let core = self.core()?;
            let (account, symbol) = (self.asked("account")?, self.asked("symbol")?);
            let account = account.map(|name| find(&core, &name).map(|it| it.id)).transpose()?;
            let instrument = symbol.map(|it| find_instrument(&core, &it).map(|it| it.id));
            MassCancel {
                envelope: Envelope::INTERNAL,
                account: account.unwrap_or(AccountId::NONE),
                instrument: instrument.transpose()?.unwrap_or(InstrumentId::NONE),
                cause: MassCancelCause::Administrator,
            }
        };
        self.submit(command, Expect::MassCancel).await
    }

    /// Another price and open quantity for a resting order.
    pub(super) async fn replace_order(&self, id: &str) -> Answered {
        let asked: NewTerms = self.read()?;
        let price = Price(decimal("price", &asked.price)?);
        let quantity = Quantity(decimal("quantity", &asked.quantity)?);
        let id = order_id(id)?;
        let (command, symbol) = {
            let core = self.core()?;
            let order = core.accounts.order(id).ok_or_else(|| refusal(404, "no such order"))?;
            let (account, instrument) = (order.account, order.instrument);
            let symbol = core.market.instrument(instrument).map(|it| it.definition.symbol);
            let envelope = Envelope::INTERNAL;
            (ReplaceOrder { envelope, account, instrument, order: id, price, quantity }, symbol)
        };
        self.done(command).await?;
        Ok(object(|json| {
            json.number_field("orderId", id.0);
            json.text_field("symbol", symbol.as_ref().map_or("", |symbol| symbol.as_str()));
            json.decimal_field("price", price);
            json.decimal_field("quantity", quantity);
        }))
    }

    /// Everything that happened to an order. It reads the log: not a thing for the gateway's thread.
    pub(super) async fn life_of_order(&self, id: &str) -> Answered {
        let id = order_id(id)?.to_string();
        let host = Arc::clone(&self.gateway.host);
        let told = tokio::task::spawn_blocking(move || host.explain(&id)).await;
        told.map_err(|_| refusal(500, "the reader of the log failed"))?.map_err(|why| match why {
            Untold::NoSuchOrder(what) => refusal(404, what),
            Untold::Unreadable(what) => refusal(500, what),
        })
    }
}

fn order_id(text: &str) -> Result<OrderId, ApiError> {
    let number = text.parse().ok().filter(|number| *number > 0);
    number.map(OrderId).ok_or_else(|| refusal(404, "no such order: an order id is a number"))
}
