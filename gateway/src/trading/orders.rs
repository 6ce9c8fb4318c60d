//! Requests that become commands.

use protocol::command::*;
use protocol::{CancelReplaceMode, CancelRestrictions, Command, Envelope, OrderId, Quantity};

use super::terms::{self, Reader};
use super::{client_order_id, instrument, order_id};
use crate::core::Core;
use crate::endpoint::{Asked, Call};
use crate::error::ApiError;
use crate::params::Params;
use crate::pending::Expect;

/// What core fills in when it sends: origin, session and request; the deadline is the call's.
pub(super) fn envelope(call: &Call<'_>) -> Envelope {
    Envelope { deadline: call.deadline, ..Envelope::INTERNAL }
}

/// `POST /api/v3/order`
pub(super) fn place(core: &Core, call: &Call<'_>) -> Asked {
    let order = Reader::new(core, call)?.order()?;
    let kind = order.request.kind;
    let response = terms::response_kind(call.params, kind)?;
    Ok((new_order(call, order, false), Expect::Place { kind, response }))
}

/// `POST /api/v3/order/test`
pub(super) fn test(core: &Core, call: &Call<'_>) -> Asked {
    let order = Reader::new(core, call)?.order()?;
    let OrderRequest { kind, instrument, account, .. } = order.request;
    terms::response_kind(call.params, kind)?;
    let with_rates = call.params.boolean("computeCommissionRates")?.unwrap_or(false);
    let expect = Expect::Test { kind, instrument, account, with_rates };
    Ok((new_order(call, order, true), expect))
}

/// Most orders have no terms: their command is smaller.
fn new_order(call: &Call<'_>, order: ListedOrder, dry_run: bool) -> Command {
    let (envelope, ListedOrder { request, terms }) = (envelope(call), order);
    match terms == OrderTerms::NONE {
        true => NewOrder { envelope, request, dry_run }.into(),
        false => NewOrderWithTerms { envelope, request, terms, dry_run }.into(),
    }
}

/// Which order: by its id, by its owner's id, or by both.
fn chosen(params: &Params<'_>, id: &str, name: &str) -> Result<(OrderId, ClientOrderId), ApiError> {
    let (order, named) = (order_id(params, id)?, client_order_id(params, name)?);
    if order.is_none() && named.is_none() {
        return Err(ApiError::either(id, name));
    }
    // Id 0 is no order, and would mean "by name".
    let order = match (order, named) {
        (Some(OrderId(0)), _) => OrderId(u64::MAX),
        (order, _) => order.unwrap_or(OrderId::NONE),
    };
    Ok((order, named.unwrap_or(ClientOrderId::EMPTY)))
}

fn restrictions(params: &Params<'_>) -> Result<CancelRestrictions, ApiError> {
    match params.get("cancelRestrictions") {
        None => Ok(CancelRestrictions::None),
        Some("ONLY_NEW") => Ok(CancelRestrictions::OnlyNew),
        Some("ONLY_PARTIALLY_FILLED") => Ok(CancelRestrictions::OnlyPartiallyFilled),
        Some(_) => Err(ApiError::new(-1145, "Invalid cancelRestrictions")),
    }
}

/// `DELETE /api/v3/order`
pub(super) fn cancel(core: &Core, call: &Call<'_>) -> Asked {
    let (account, instrument) = (call.account()?, instrument(core, call.params)?.id);
    let (order, client_order_id) = chosen(call.params, "orderId", "origClientOrderId")?;
    let restrictions = restrictions(call.params)?;
    let cancel_client_order_id = super::client_order_id(call.params, "newClientOrderId")?;
    let command = match (client_order_id.is_empty(), cancel_client_order_id) {
        (true, None) => {
            CancelOrder { envelope: envelope(call), account, instrument, order, restrictions }
                .into()
        }
        (_, id) => CancelNamedOrder {
            envelope: envelope(call),
            account,
            instrument,
            order,
            client_order_id,
            cancel_client_order_id: id.unwrap_or(ClientOrderId::EMPTY),
            restrictions,
        }
        .into(),
    };
    Ok((command, Expect::Cancel))
}

/// `DELETE /api/v3/openOrders`
pub(super) fn cancel_all(core: &Core, call: &Call<'_>) -> Asked {
    let (account, instrument) = (call.account()?, instrument(core, call.params)?.id);
    let command = CancelAllOrders { envelope: envelope(call), account, instrument };
    Ok((command.into(), Expect::CancelAll))
}

/// `POST /api/v3/order/cancelReplace`
pub(super) fn cancel_replace(core: &Core, call: &Call<'_>) -> Asked {
    let params = call.params;
    let reader = Reader::new(core, call)?;
    let mode = CancelReplaceMode::parse(params.required("cancelReplaceMode")?)
        .ok_or_else(|| ApiError::invalid("cancelReplaceMode"))?;
    if !matches!(
        params.get("orderRateLimitExceededMode"),
        None | Some("DO_NOTHING" | "CANCEL_ONLY")
    ) {
        return Err(ApiError::invalid("orderRateLimitExceededMode"));
    }
    let ListedOrder { request, terms } = reader.order()?;
    let response = terms::response_kind(params, request.kind)?;
    let (cancel_order, cancel_original_client_order_id) =
        chosen(params, "cancelOrderId", "cancelOrigClientOrderId")?;
    let cancel_client_order_id = client_order_id(params, "cancelNewClientOrderId")?;
    let command = CancelReplace {
        envelope: envelope(call),
        mode,
        restrictions: restrictions(params)?,
        cancel_order,
        cancel_original_client_order_id,
        cancel_client_order_id: cancel_client_order_id.unwrap_or(ClientOrderId::EMPTY),
        request,
        terms,
    };
    let cancels_anyway = params.get("orderRateLimitExceededMode") == Some("CANCEL_ONLY");
    Ok((command.into(), Expect::CancelReplace { kind: request.kind, response, cancels_anyway }))
}

/// What is left of a request whose new order is over the account's limit: the cancel of a
/// cancel-replace that wants it, else the refusal.
pub(crate) fn over_the_limit(command: &Command, expect: &Expect, refused: ApiError) -> Asked {
    match (command, expect) {
        (Command::CancelReplace(it), Expect::CancelReplace { cancels_anyway: true, .. }) => {
            let cancel = CancelNamedOrder {
                envelope: it.envelope,
                account: it.request.account,
                instrument: it.request.instrument,
                order: it.cancel_order,
                client_order_id: it.cancel_original_client_order_id,
                cancel_client_order_id: it.cancel_client_order_id,
                restrictions: it.restrictions,
            };
            let stops = it.mode == CancelReplaceMode::StopOnFailure;
            Ok((cancel.into(), Expect::CancelInstead { refused: Box::new(refused), stops }))
        }
        _ => Err(refused),
    }
}

/// `PUT /api/v3/order/amend/keepPriority`
pub(super) fn amend(core: &Core, call: &Call<'_>) -> Asked {
    let (account, instrument) = (call.account()?, instrument(core, call.params)?.id);
    let (order, client_order_id) = chosen(call.params, "orderId", "origClientOrderId")?;
    let quantity = call.params.quantity("newQty")?.unwrap_or(Quantity::ZERO);
    let named = super::client_order_id(call.params, "newClientOrderId")?;
    let command = AmendOrder {
        envelope: envelope(call),
        account,
        instrument,
        order,
        client_order_id,
        new_client_order_id: named.unwrap_or_else(|| core.draw_client_order_id()),
        quantity,
    };
    Ok((command.into(), Expect::Amend))
}
