//! The checks of a command that places orders, in the order in which the engine makes them
//! (docs/rules.md §1, §3, §7, §12, §13): which of them there are for this command, and which failed.
//! Nothing is checked here; the engine has said what failed.

use protocol::command::{NewOrderList, OrderRequest, OrderTerms};
use protocol::instrument::filter;
use protocol::{
    Command, CommandPart, InstrumentDefinition, OrderKind, PegPrice, QuantityUnit, RejectReason,
    Side,
};

use super::facts::Facts;

/// An order that a command asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) request: OrderRequest,
    pub(super) terms: OrderTerms,
}

impl Asked {
    fn new(request: &OrderRequest, terms: &OrderTerms) -> Asked {
        Asked { request: *request, terms: *terms }
    }
}

/// The orders that a command asks for; none if it places none.
pub(super) fn asked(command: &Command) -> Vec<Asked> {
    match command {
        Command::NewOrder(it) => vec![Asked::new(&it.request, &OrderTerms::NONE)],
        Command::NewOrderWithTerms(it) => vec![Asked::new(&it.request, &it.terms)],
        Command::CancelReplace(it) => vec![Asked::new(&it.request, &it.terms)],
        Command::NewOrderList(it) => {
            let orders = it.orders.iter().take(it.kind.orders());
            orders.map(|order| Asked::new(&order.request, &order.terms)).collect()
        }
        _ => Vec::new(),
    }
}

/// What decides whether a check is made at all.
struct Case<'a> {
    orders: &'a [Asked],
    list: Option<&'a NewOrderList>,
    definition: Option<&'a InstrumentDefinition>,
    facts: &'a Facts,
}

impl Case<'_> {
    fn any(&self, holds: impl Fn(&Asked) -> bool) -> bool {
        self.orders.iter().any(holds)
    }

    fn has(&self, bit: u32) -> bool {
        self.definition.is_some_and(|definition| definition.filters.has(bit))
    }

    fn has_limit(&self) -> bool {
        self.any(|it| it.request.kind.is_limit())
    }

    fn has_market(&self) -> bool {
        self.any(|it| !it.request.kind.is_limit())
    }

    fn has_contingent(&self) -> bool {
        self.any(|it| it.request.kind.is_contingent())
    }

    fn is_by_quote(&self) -> bool {
        self.any(|it| it.request.quantity_unit == QuantityUnit::Quote)
    }

    fn has_base(&self) -> bool {
        self.any(|it| it.request.quantity_unit == QuantityUnit::Base)
    }

    fn has_iceberg(&self) -> bool {
        self.any(|it| !it.terms.iceberg.is_zero())
    }

    fn has_trailing(&self) -> bool {
        self.any(|it| it.terms.trailing_delta != 0)
    }

    fn has_peg(&self) -> bool {
        self.any(|it| it.terms.peg != PegPrice::None)
    }

    fn has_pair(&self) -> bool {
        self.list.is_some_and(|list| list.kind.has_pair())
    }

    /// Do two of the orders have the same client order id?
    fn has_twins(&self) -> bool {
        let names = self.orders.iter().map(|it| it.request.client_order_id);
        let names: Vec<_> = names.collect();
        (1..names.len()).any(|at| names.iter().take(at).any(|name| *name == names[at]))
    }

    fn is_collecting(&self) -> bool {
        self.definition.is_some_and(|definition| definition.status.is_auction())
    }

    /// A market order to buy by base quantity needs an upper price in an auction.
    fn needs_upper_price(&self) -> bool {
        let buys =
            |it: &Asked| it.request.kind == OrderKind::Market && it.request.side == Side::Buy;
        self.is_collecting() && self.any(buys)
    }

    fn risk(&self, counts: impl Fn(&protocol::command::RiskLimits) -> bool) -> bool {
        let first = self.orders.first().map(|it| &it.request);
        let limits = first.and_then(|it| self.facts.risk(it.account, it.instrument));
        limits.is_some_and(counts)
    }
}

/// One check: what it looks at, and the refusals that it can give.
struct Check {
    name: &'static str,
    reasons: &'static [RejectReason],
    is_made: fn(&Case<'_>) -> bool,
}

const fn always(name: &'static str, reasons: &'static [RejectReason]) -> Check {
    Check { name, reasons, is_made: |_| true }
}

const fn only(
    name: &'static str,
    reasons: &'static [RejectReason],
    is_made: fn(&Case<'_>) -> bool,
) -> Check {
    Check { name, reasons, is_made }
}

use RejectReason::*;

const ENVELOPE: &[Check] = &[
    always("gateway", &[StaleIncarnation]),
    always("number", &[NumberGap]),
    always("deadline", &[DeadlinePassed]),
];

const IDENTITY: &[Check] = &[
    always("instrument", &[UnknownInstrument]),
    always("account", &[UnknownAccount]),
    always("permission to trade", &[AccountMayNotTrade]),
    always("kill switch", &[KillSwitch]),
];

const LIST: &[Check] = &[
    only("list client order id", &[InvalidClientOrderId], |it| {
        it.list.is_some_and(|it| it.list_client_order_id.is_empty())
    }),
    only("OTO allowed", &[OtoNotAllowed], |it| {
        it.list.is_some_and(|it| it.kind.has_working_order())
    }),
    only("OCO allowed", &[OcoNotAllowed], |it| it.has_pair()),
    only("OPO allowed", &[OpoNotAllowed], |it| it.list.is_some_and(|it| it.kind.pays())),
    always("orders fit together", &[InvalidOrderList]),
    only("client order ids differ", &[DuplicateClientOrderId], |it| it.has_twins()),
];

const CANCEL_REPLACE: &[Check] = &[always("cancel-replace allowed", &[CancelReplaceNotSupported])];

const REQUEST: &[Check] = &[
    always("price", &[InvalidPrice]),
    always("quantity", &[InvalidQuantity]),
    only("stop price", &[InvalidStopPrice], |it| it.has_contingent()),
    always("client order id", &[InvalidClientOrderId]),
    always("combination of fields", &[UnsupportedCombination]),
    only("iceberg part", &[IcebergExceedsQuantity], |it| it.has_iceberg()),
    only("peg", &[PegNotForKind, PegNotForCombination], |it| it.has_peg()),
    always("order type allowed", &[OrderKindNotAllowed]),
    only("quote quantity allowed", &[QuoteQuantityNotAllowed], |it| it.is_by_quote()),
    always("self-trade prevention mode allowed", &[StpModeNotAllowed]),
    only("iceberg allowed", &[IcebergNotAllowed], |it| it.has_iceberg()),
    only("trailing stop allowed", &[TrailingStopNotAllowed], |it| it.has_trailing()),
    only("pegged order allowed", &[PeggedNotAllowed], |it| it.has_peg()),
    always("status of the instrument", &[MarketClosed]),
    only("peg price", &[NoPegPrice], |it| it.has_peg()),
    only("PRICE_FILTER", &[PriceFilter], |it| {
        it.has(filter::PRICE) && (it.has_limit() || it.has_contingent())
    }),
    only("TRAILING_DELTA", &[TrailingDelta], |it| {
        it.has(filter::TRAILING_DELTA) && it.has_trailing()
    }),
    only("PERCENT_PRICE", &[PercentPrice], |it| it.has(filter::PERCENT_PRICE) && it.has_limit()),
    only("PERCENT_PRICE_BY_SIDE", &[PercentPriceBySide], |it| {
        it.has(filter::PERCENT_PRICE_BY_SIDE) && it.has_limit()
    }),
    only("LOT_SIZE", &[LotSize], |it| it.has(filter::LOT_SIZE) && it.has_base()),
    only("ICEBERG_PARTS", &[IcebergParts], |it| it.has(filter::ICEBERG_PARTS) && it.has_iceberg()),
    only("MARKET_LOT_SIZE", &[MarketLotSize], |it| {
        it.has(filter::MARKET_LOT_SIZE) && it.has_market() && it.has_base()
    }),
    only("MIN_NOTIONAL", &[MinNotional], |it| it.has(filter::MIN_NOTIONAL)),
    only("NOTIONAL", &[Notional], |it| it.has(filter::NOTIONAL)),
    only("MAX_POSITION", &[MaxPosition], |it| {
        it.has(filter::MAX_POSITION) && it.has_base() && it.any(|it| it.request.side == Side::Buy)
    }),
    only("MAX_NUM_ORDERS", &[MaxNumOrders], |it| it.has(filter::MAX_NUM_ORDERS)),
    only("MAX_NUM_ALGO_ORDERS", &[MaxNumAlgoOrders], |it| {
        it.has(filter::MAX_NUM_ALGO_ORDERS) && it.has_contingent()
    }),
    only("MAX_NUM_ICEBERG_ORDERS", &[MaxNumIcebergOrders], |it| {
        it.has(filter::MAX_NUM_ICEBERG_ORDERS) && it.has_iceberg()
    }),
    only("EXCHANGE_MAX_NUM_ORDERS", &[ExchangeMaxNumOrders], |it| {
        it.facts.limits.open_orders_max != 0
    }),
    only("EXCHANGE_MAX_NUM_ALGO_ORDERS", &[ExchangeMaxNumAlgoOrders], |it| {
        it.facts.limits.algo_orders_max != 0 && it.has_contingent()
    }),
    only("EXCHANGE_MAX_NUM_ICEBERG_ORDERS", &[ExchangeMaxNumIcebergOrders], |it| {
        it.facts.limits.iceberg_orders_max != 0 && it.has_iceberg()
    }),
];

const LIST_COUNTS: &[Check] = &[
    only("MAX_NUM_ORDER_LISTS", &[MaxNumOrderLists], |it| it.has(filter::MAX_NUM_ORDER_LISTS)),
    only("EXCHANGE_MAX_NUM_ORDER_LISTS", &[ExchangeMaxNumOrderLists], |it| {
        it.facts.limits.order_lists_max != 0
    }),
];

const RISK: &[Check] = &[
    only("risk: order notional", &[OrderNotionalLimit], |it| {
        it.risk(|limits| !limits.order_notional_max.is_zero())
    }),
    only("risk: open orders", &[OpenOrdersLimit], |it| it.risk(|it| it.open_orders_max != 0)),
    only("risk: day quantity", &[DayQuantityLimit], |it| {
        it.risk(|limits| !limits.day_quantity_max.is_zero())
    }),
    only("risk: collar", &[PriceCollar], |it| {
        it.has_limit() && it.risk(|limits| limits.collar != 0)
    }),
    only("upper price", &[NoUpperPrice], |it| it.needs_upper_price()),
];

const LIST_STATE: &[Check] = &[
    only("prices of the pair", &[ListPrices], |it| it.has_pair()),
    always("duplicate list client order id", &[DuplicateListClientOrderId]),
];

/// The check between those of a cancel-replace.
pub(super) const CANCEL_NAME: &str = "cancel of the other order";

const CANCEL: &[Check] =
    &[always(CANCEL_NAME, &[UnknownOrder, ClientOrderIdMismatch, CancelRestricted])];

const STATE: &[Check] = &[
    always("duplicate client order id", &[DuplicateClientOrderId]),
    always("funds", &[InsufficientBalance]),
    only("one step of the lot is affordable", &[LotSize], |it| it.is_by_quote()),
    only("would trigger immediately", &[WouldTriggerImmediately], |it| it.has_contingent()),
    only("would match immediately", &[WouldMatchImmediately], |it| {
        it.any(|it| it.request.kind == OrderKind::LimitMaker)
    }),
];

fn checks_of(command: &Command) -> &'static [&'static [Check]] {
    match command {
        Command::CancelReplace(_) => {
            &[ENVELOPE, IDENTITY, CANCEL_REPLACE, REQUEST, RISK, CANCEL, STATE]
        }
        Command::NewOrderList(_) => {
            &[ENVELOPE, IDENTITY, LIST, REQUEST, LIST_COUNTS, RISK, LIST_STATE, STATE]
        }
        _ => &[ENVELOPE, IDENTITY, REQUEST, RISK, STATE],
    }
}

/// What was checked, up to what failed.
#[derive(Debug, Clone, Default)]
pub(super) struct Checks {
    pub(super) passed: Vec<&'static str>,
    pub(super) failed: Option<Failed>,
}

#[derive(Debug, Clone)]
pub(super) struct Failed {
    /// None: a check that this list does not know.
    pub(super) check: Option<&'static str>,
    pub(super) part: CommandPart,
    pub(super) reason: RejectReason,
    /// What the check looked at.
    pub(super) values: Vec<(&'static str, String)>,
}

/// The checks that a command's orders went through; `failed`: the refusal that came of it.
pub(super) fn checks(
    command: &Command,
    failed: Option<(CommandPart, RejectReason)>,
    facts: &Facts,
) -> Checks {
    let orders = asked(command);
    let instrument = orders.first().map(|it| it.request.instrument);
    let case = Case {
        orders: &orders,
        list: match command {
            Command::NewOrderList(list) => Some(list),
            _ => None,
        },
        definition: instrument.and_then(|id| facts.definition(id)),
        facts,
    };
    let mut passed = Vec::new();
    let all = checks_of(command).iter().flat_map(|part| part.iter());
    for check in all.filter(|check| (check.is_made)(&case)) {
        let Some((part, reason)) = failed else {
            passed.push(check.name);
            continue;
        };
        if is_that(check, part, reason) {
            let (check, values) = (Some(check.name), Vec::new());
            return Checks { passed, failed: Some(Failed { check, part, reason, values }) };
        }
        passed.push(check.name);
    }
    let failed = failed.map(|(part, reason)| {
        // Not in the list: nothing is said about what came before it.
        passed.clear();
        Failed { check: None, part, reason, values: Vec::new() }
    });
    Checks { passed, failed }
}

/// Is this the check that gave the refusal? What a new order is asked after the cancel of a
/// cancel-replace are other checks than those before.
fn is_that(check: &Check, part: CommandPart, reason: RejectReason) -> bool {
    let is_of = |checks: &[Check]| checks.iter().any(|it| it.name == check.name);
    let is_of_part = match part {
        CommandPart::Whole => true,
        CommandPart::Cancel => is_of(CANCEL),
        CommandPart::New => is_of(STATE),
    };
    is_of_part && check.reasons.contains(&reason)
}
