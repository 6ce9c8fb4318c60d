//! Self-trade prevention. (§6, stp_faq.md)

use super::walk::{Step, Walk};
use super::*;

impl Model {
    pub(super) fn is_self_trade(&self, taker: &Order, maker: &Order) -> bool {
        let group = self.account(taker.request.account).trade_group;
        let other_group = self.account(maker.request.account).trade_group;
        let same_self =
            taker.request.account == maker.request.account || (group != 0 && group == other_group);
        taker.request.stp_mode != StpMode::None && same_self
    }

    pub(super) fn prevent(&mut self, walk: &mut Walk, maker: OrderId, wanted: u64) -> Step {
        let taker = self.order(walk.taker).clone();
        let mode = match (taker.request.stp_mode, self.order(maker).request.stp_mode) {
            (StpMode::Transfer, StpMode::Transfer)
                if taker.request.account != self.order(maker).request.account =>
            {
                StpMode::Transfer
            }
            (StpMode::Transfer, _) => StpMode::Decrement,
            (mode, _) => mode,
        };
        if mode == StpMode::Transfer {
            // Its money moves: the pair's one hold must be its own.
            self.send_other_away(maker);
        }
        let maker = self.order(maker).clone();
        let (id, price) = (taker.request.instrument, maker.price());
        let smaller = wanted.min(maker.remaining());
        let (maker_prevented, taker_prevented) = match mode {
            StpMode::ExpireTaker => (0, wanted),
            StpMode::ExpireMaker => (maker.remaining(), 0),
            StpMode::ExpireBoth => (maker.remaining(), wanted),
            StpMode::Decrement | StpMode::Transfer => (smaller, smaller),
            StpMode::None => unreachable!("not a mode that prevents"),
        };
        let maker_is_gone = maker_prevented == maker.remaining();
        self.order_mut(walk.taker).prevented += taker_prevented;
        let changed = self.order_mut(maker.id);
        changed.prevented += maker_prevented;
        changed.visible = changed.visible.min(changed.remaining());
        let prevented_match = PreventedMatchId(self.instrument(id).prevented_matches);
        self.instrument_mut(id).prevented_matches += 1;
        let taker_execution = self.next_execution(id);
        let maker_execution = self.next_execution(id);
        self.emit(MatchPrevented {
            instrument: id,
            prevented_match,
            mode,
            price,
            maker_order: maker.id,
            taker_order: walk.taker,
            maker_account: maker.request.account,
            taker_account: taker.request.account,
            trade_group: self.account(taker.request.account).trade_group,
            maker_execution,
            taker_execution,
            maker_prevented: Quantity(maker_prevented),
            taker_prevented: Quantity(taker_prevented),
            maker_prevented_total: Quantity(maker.prevented + maker_prevented),
            taker_prevented_total: Quantity(taker.prevented + taker_prevented),
        });
        if mode == StpMode::Transfer {
            self.settle(&maker, price, Quantity(smaller), 0);
            self.settle(&taker, price, Quantity(smaller), 0);
            self.emit_balances_of_both(&taker, &maker);
        }
        let (status, reason) = (OrderStatus::ExpiredInMatch, CloseReason::SelfTrade);
        if maker_is_gone {
            self.expire(maker.id, status, reason);
        } else if mode != StpMode::ExpireTaker {
            self.hold_anew_and_tell(maker.id);
            self.emit_level(id, maker.request.side, price);
        }
        let counts_down = matches!(mode, StpMode::Decrement | StpMode::Transfer);
        if counts_down {
            walk.rest -= notional(price, Quantity(smaller)).0;
        }
        let taker_closes = match mode {
            StpMode::ExpireTaker | StpMode::ExpireBoth => true,
            _ => counts_down && self.wants_no_more(walk),
        };
        if taker_closes {
            self.expire(walk.taker, status, reason);
            return Step::Stopped;
        }
        if counts_down {
            self.hold_anew_and_tell(walk.taker);
        }
        Step::GoesOn
    }
}
