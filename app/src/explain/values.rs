//! What a check that failed has looked at, where it can be had: filters, balances, prices, counts.

use engine::{Engine, OpenOrder};
use protocol::command::OrderRequest;
use protocol::instrument::LotSize;
use protocol::*;

use super::checks::Asked;
use super::facts::{Facts, short, utc};

type Values = Vec<(&'static str, String)>;

/// All that a refusal can be looked up in. The engine is as it was when the check failed: what was
/// refused has changed nothing.
pub(super) struct Refused<'a> {
    pub(super) asked: &'a Asked,
    pub(super) envelope: &'a Envelope,
    pub(super) engine: &'a Engine,
    pub(super) facts: &'a Facts,
}

impl Refused<'_> {
    /// Names and values, as they stand in messages.
    pub(super) fn values(&self, reason: RejectReason) -> Values {
        let it = &self.asked.request;
        match reason {
            RejectReason::DeadlinePassed => vec![
                ("deadline", utc(self.envelope.deadline)),
                ("stored time", utc(self.engine.now())),
            ],
            RejectReason::StaleIncarnation | RejectReason::NumberGap => {
                let Origin { node, slot, incarnation, number } = self.envelope.origin;
                vec![
                    ("slot", format!("{node}.{slot}")),
                    ("incarnation", incarnation.to_string()),
                    ("number", number.to_string()),
                ]
            }
            RejectReason::UnknownInstrument => vec![("instrument", it.instrument.to_string())],
            RejectReason::UnknownAccount => vec![("account", it.account.to_string())],
            RejectReason::KillSwitch => {
                let whose = self.facts.kill_switch(it.account).unwrap_or("unknown");
                vec![("engaged", whose.to_owned())]
            }
            RejectReason::InvalidPrice => vec![("price", short(it.price))],
            RejectReason::InvalidQuantity => vec![("quantity", short(it.quantity))],
            RejectReason::InvalidStopPrice => vec![("stop price", short(it.stop_price))],
            RejectReason::MarketClosed => {
                let status = self.facts.definition(it.instrument).map(|it| it.status);
                status.into_iter().map(|status| ("status", status.to_string())).collect()
            }
            RejectReason::NoPegPrice => self.peg(it),
            RejectReason::WouldMatchImmediately => self.best_opposite(it),
            RejectReason::WouldTriggerImmediately => {
                let mut values = vec![("stop price", short(it.stop_price))];
                values.extend(self.last(it));
                values
            }
            RejectReason::DuplicateClientOrderId => self.duplicate(it),
            RejectReason::InsufficientBalance => self.funds(it),
            RejectReason::OrderNotionalLimit
            | RejectReason::OpenOrdersLimit
            | RejectReason::DayQuantityLimit
            | RejectReason::PriceCollar => self.risk(it, reason),
            RejectReason::MaxNumOrders
            | RejectReason::MaxNumAlgoOrders
            | RejectReason::MaxNumIcebergOrders
            | RejectReason::ExchangeMaxNumOrders
            | RejectReason::ExchangeMaxNumAlgoOrders
            | RejectReason::ExchangeMaxNumIcebergOrders => self.counts(it, reason),
            _ => self.of_definition(it, reason),
        }
    }

    /// What the instrument's definition decides.
    fn of_definition(&self, it: &OrderRequest, reason: RejectReason) -> Values {
        let Some(definition) = self.facts.definition(it.instrument) else { return Vec::new() };
        let filters = &definition.filters;
        match reason {
            RejectReason::OrderKindNotAllowed => {
                let kinds =
                    OrderKind::ALL.iter().filter(|kind| kind.bit() & definition.order_kinds != 0);
                let allowed: Vec<_> = kinds.map(|kind| kind.as_str()).collect();
                vec![("type", it.kind.to_string()), ("allowed", allowed.join(" "))]
            }
            RejectReason::StpModeNotAllowed => {
                let allowed = definition.allowed_stp_modes;
                let modes = StpMode::ALL.iter().filter(|mode| mode.bit() & allowed != 0);
                let allowed: Vec<_> = modes.map(|mode| mode.as_str()).collect();
                vec![("mode", it.stp_mode.to_string()), ("allowed", allowed.join(" "))]
            }
            RejectReason::PriceFilter => {
                let mut values = vec![("price", short(it.price))];
                if it.kind.is_contingent() {
                    values.push(("stop price", short(it.stop_price)));
                }
                let grid = &filters.price;
                values.push(("min", short(grid.min)));
                values.push(("max", short(grid.max)));
                values.push(("tick", short(grid.tick)));
                values
            }
            RejectReason::LotSize => self.lot(it, &filters.lot_size),
            RejectReason::MarketLotSize => self.lot(it, &filters.market_lot_size),
            RejectReason::PercentPrice => {
                let band = &filters.percent_price;
                let bounds = (band.multiplier_up, band.multiplier_down);
                self.percent(it, bounds, band.average_minutes)
            }
            RejectReason::PercentPriceBySide => {
                let band = &filters.percent_price_by_side;
                let bounds = match it.side {
                    Side::Buy => (band.bid_multiplier_up, band.bid_multiplier_down),
                    Side::Sell => (band.ask_multiplier_up, band.ask_multiplier_down),
                };
                self.percent(it, bounds, band.average_minutes)
            }
            RejectReason::MinNotional => {
                let rule = &filters.min_notional;
                let mut values = self.notional(it, rule.average_minutes);
                values.push(("min", short(rule.min)));
                values
            }
            RejectReason::Notional => {
                let rule = &filters.notional;
                let mut values = self.notional(it, rule.average_minutes);
                values.push(("min", short(rule.min)));
                values.push(("max", short(rule.max)));
                values
            }
            RejectReason::MaxPosition => self.position(it, filters.max_position),
            RejectReason::IcebergParts => vec![
                ("quantity", short(it.quantity)),
                ("shown", short(self.asked.terms.iceberg)),
                ("parts allowed", filters.iceberg_parts.to_string()),
            ],
            RejectReason::IcebergExceedsQuantity => {
                vec![("quantity", short(it.quantity)), ("shown", short(self.asked.terms.iceberg))]
            }
            RejectReason::TrailingDelta => {
                let rule = &filters.trailing_delta;
                let (min, max) = match it.kind.fires_on_rise(it.side) {
                    true => (rule.min_above, rule.max_above),
                    false => (rule.min_below, rule.max_below),
                };
                let delta = self.asked.terms.trailing_delta;
                let numbers = [("delta", delta), ("min", min), ("max", max)];
                numbers.map(|(name, number)| (name, number.to_string())).into()
            }
            _ => Vec::new(),
        }
    }

    fn lot(&self, it: &OrderRequest, rule: &LotSize) -> Values {
        let mut values = vec![("quantity", short(it.quantity))];
        if !self.asked.terms.iceberg.is_zero() {
            values.push(("shown", short(self.asked.terms.iceberg)));
        }
        values.push(("min", short(rule.min)));
        values.push(("max", short(rule.max)));
        values.push(("step", short(rule.step)));
        values
    }

    fn percent(&self, it: &OrderRequest, (up, down): (u64, u64), minutes: u32) -> Values {
        let mut values = vec![("price", short(it.price))];
        let price = self.facts.filter_price(it.instrument, minutes, self.engine.now());
        values.extend(price.map(|price| ("filter price", short(price))));
        values.push(("times at most", short(Price(up))));
        values.push(("times at least", short(Price(down))));
        values
    }

    fn notional(&self, it: &OrderRequest, minutes: u32) -> Values {
        let price = match (it.kind.is_limit(), it.quantity_unit) {
            (true, _) => Some(it.price),
            (false, QuantityUnit::Quote) => return vec![("quote quantity", short(it.quantity))],
            (false, QuantityUnit::Base) => {
                self.facts.filter_price(it.instrument, minutes, self.engine.now())
            }
        };
        let mut values = Values::new();
        if let Some(price) = price {
            values.push(("price", short(price)));
            values.push(("notional", short(notional(price, it.quantity))));
        }
        values.push(("quantity", short(it.quantity)));
        values
    }

    fn open_orders(&self, it: &OrderRequest) -> impl Iterator<Item = OpenOrder> {
        let account = it.account;
        self.engine.open_orders().into_iter().filter(move |open| open.request.account == account)
    }

    fn position(&self, it: &OrderRequest, max: Amount) -> Values {
        let base = self.facts.paying(it.instrument, Side::Sell);
        let (free, locked) = self.engine.balance(it.account, base);
        let buys = |open: &OpenOrder| {
            open.request.instrument == it.instrument && open.request.side == Side::Buy
        };
        let open = self.open_orders(it).filter(buys).map(|open| Amount::from(open.remaining));
        vec![
            ("held", short(free + locked)),
            ("open to buy", short(open.fold(Amount::ZERO, |sum, open| sum + open))),
            ("quantity", short(it.quantity)),
            ("max", short(max)),
        ]
    }

    fn counts(&self, it: &OrderRequest, reason: RejectReason) -> Values {
        let filters = self.facts.definition(it.instrument).map(|definition| definition.filters);
        let filters = filters.unwrap_or(Filters::NONE);
        let limits = &self.facts.limits;
        let bound = match reason {
            RejectReason::MaxNumOrders => filters.max_num_orders,
            RejectReason::MaxNumAlgoOrders => filters.max_num_algo_orders,
            RejectReason::MaxNumIcebergOrders => filters.max_num_iceberg_orders,
            RejectReason::ExchangeMaxNumOrders => limits.open_orders_max,
            RejectReason::ExchangeMaxNumAlgoOrders => limits.algo_orders_max,
            _ => limits.iceberg_orders_max,
        };
        let mut values = vec![("bound", bound.to_string())];
        match reason {
            RejectReason::MaxNumOrders => {
                let open = self.open_orders(it);
                let open = open.filter(|open| open.request.instrument == it.instrument).count();
                values.push(("open", open.to_string()));
            }
            RejectReason::ExchangeMaxNumOrders => {
                values.push(("open", self.open_orders(it).count().to_string()));
            }
            _ => {}
        }
        values
    }

    fn risk(&self, it: &OrderRequest, reason: RejectReason) -> Values {
        let Some(limits) = self.facts.risk(it.account, it.instrument) else { return Vec::new() };
        match reason {
            RejectReason::OrderNotionalLimit => {
                let mut values = self.notional(it, 0);
                values.push(("limit", short(limits.order_notional_max)));
                values
            }
            RejectReason::OpenOrdersLimit => vec![
                ("open of the account", self.open_orders(it).count().to_string()),
                ("limit", limits.open_orders_max.to_string()),
            ],
            RejectReason::DayQuantityLimit => vec![
                ("quantity", short(it.quantity)),
                ("limit of a day", short(limits.day_quantity_max)),
            ],
            _ => {
                let mut values = vec![("price", short(it.price))];
                values.extend(self.last(it));
                values.push(("collar", short(Price(limits.collar))));
                values
            }
        }
    }

    fn last(&self, it: &OrderRequest) -> Option<(&'static str, String)> {
        self.facts.last(it.instrument).map(|last| ("last price", short(last)))
    }

    fn best_opposite(&self, it: &OrderRequest) -> Values {
        let book = self.engine.order_book(it.instrument);
        let best = book.and_then(|book| book.levels(it.side.opposite()).next());
        let mut values = vec![("price", short(it.price))];
        let name = match it.side {
            Side::Buy => "best ask",
            Side::Sell => "best bid",
        };
        values.extend(best.map(|level| (name, short(level.price))));
        values
    }

    fn peg(&self, it: &OrderRequest) -> Values {
        let terms = &self.asked.terms;
        let side = match terms.peg {
            PegPrice::Primary => it.side,
            _ => it.side.opposite(),
        };
        let book = self.engine.order_book(it.instrument);
        let levels = book.map_or(0, |book| book.levels(side).count());
        vec![("levels there", levels.to_string()), ("levels deep", terms.peg_level.to_string())]
    }

    fn duplicate(&self, it: &OrderRequest) -> Values {
        let is_it = |open: &OpenOrder| {
            open.request.instrument == it.instrument
                && open.request.client_order_id == it.client_order_id
        };
        let open = self.open_orders(it).find(is_it);
        open.into_iter().map(|open| ("open order", format!("#{}", open.order))).collect()
    }

    fn funds(&self, it: &OrderRequest) -> Values {
        let asset = self.facts.paying(it.instrument, it.side);
        let (free, locked) = self.engine.balance(it.account, asset);
        let mut values = vec![("free", self.facts.money(free, asset))];
        if !locked.is_zero() {
            values.push(("locked", short(locked)));
        }
        let need = match (it.side, it.quantity_unit, it.kind.is_limit()) {
            (_, QuantityUnit::Quote, _) if it.side == Side::Sell => None,
            (Side::Sell, ..) | (_, QuantityUnit::Quote, _) => Some(it.quantity.into()),
            (Side::Buy, _, true) => Some(notional(it.price, it.quantity)),
            (Side::Buy, _, false) => {
                let pays = self.walk(it);
                values.push(("the book would take", short(pays)));
                None
            }
        };
        values.extend(need.map(|need| ("needed", short(need))));
        values
    }

    /// What a market order to buy would pay for what the book shows.
    fn walk(&self, it: &OrderRequest) -> Amount {
        let Some(book) = self.engine.order_book(it.instrument) else { return Amount::ZERO };
        let (mut rest, mut pays) = (Amount::from(it.quantity), Amount::ZERO);
        for level in book.levels(it.side.opposite()) {
            let taken = rest.min(level.quantity);
            let taken = Quantity(u64::try_from(taken.0).unwrap_or(Quantity::MAX.0));
            pays += notional(level.price, taken);
            rest -= taken.into();
            if rest <= Amount::ZERO {
                break;
            }
        }
        pays
    }
}
