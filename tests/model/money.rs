//! What is free, what is locked, and that nothing gets lost. (§4.2)

use super::*;

impl Model {
    pub(super) fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        self.balances.get(&(account, asset)).copied().unwrap_or_default()
    }

    pub(super) fn balance_mut(&mut self, account: AccountId, asset: AssetId) -> &mut Balance {
        self.balances.entry((account, asset)).or_default()
    }

    pub(super) fn emit_balance(&mut self, account: AccountId, asset: AssetId) {
        let Balance { free, locked } = self.balance(account, asset);
        assert!(free >= 0 && locked >= 0, "the model lets account {account} overdraw");
        self.emit(BalanceChanged { account, asset, free: Amount(free), locked: Amount(locked) });
    }

    /// What the order gives: quote to buy, base to sell.
    pub(super) fn held_asset(&self, order: &Order) -> AssetId {
        let instrument = self.instrument(order.request.instrument);
        match order.request.side {
            Side::Buy => instrument.quote,
            Side::Sell => instrument.base,
        }
    }

    /// What should be locked for the order as it and its list stand. (§4.2, §12)
    pub(super) fn hold(&self, order: &Order) -> i128 {
        let pair = self.lists.get(&order.list).filter(|list| list.stage == Stage::Pair);
        match pair {
            _ if order.place == Place::Pending => order.held,
            Some(list) if list.holder != order.id => 0,
            Some(list) => list.others.iter().map(|id| self.order(*id).need()).max().unwrap_or(0),
            None => order.need(),
        }
    }

    /// Locks as much as the order should hold now, and frees the rest. Did anything change?
    pub(super) fn hold_anew(&mut self, id: OrderId) -> bool {
        let order = self.order(id).clone();
        let (asset, hold) = (self.held_asset(&order), self.hold(&order));
        let balance = self.balance_mut(order.request.account, asset);
        balance.free -= hold - order.held;
        balance.locked += hold - order.held;
        self.order_mut(id).held = hold;
        hold != order.held
    }

    pub(super) fn hold_anew_and_tell(&mut self, id: OrderId) {
        if self.hold_anew(id) {
            let order = self.order(id).clone();
            self.emit_balance(order.request.account, self.held_asset(&order));
        }
    }

    /// Free quote to buy, free base to sell.
    pub(super) fn free(&self, order: &Order) -> i128 {
        self.balance(order.request.account, self.held_asset(order)).free
    }

    /// Nothing was made or lost, and what is locked is what orders hold.
    pub(super) fn check_sums(&self) {
        let mut held: BTreeMap<(AccountId, AssetId), i128> = BTreeMap::new();
        for order in self.orders.values() {
            *held.entry((order.request.account, self.held_asset(order))).or_default() += order.held;
        }
        let mut sums: BTreeMap<AssetId, i128> = BTreeMap::new();
        for ((account, asset), balance) in &self.balances {
            *sums.entry(*asset).or_default() += balance.free + balance.locked;
            let held = held.get(&(*account, *asset)).copied().unwrap_or(0);
            assert_eq!(balance.locked, held, "locked for {account} of asset {asset}");
        }
        assert!(sums.values().all(|sum| *sum == 0), "the model makes money: {sums:?}");
        for it in self.instruments.iter().filter(|it| !it.collecting) {
            let best = |side| self.book(it.id, side).first().map(|best| best.price());
            let crosses =
                best(Side::Buy).zip(best(Side::Sell)).is_some_and(|(bid, ask)| bid >= ask);
            assert!(!crosses, "the book of instrument {} crosses", it.id);
            assert!(it.told_levels == self.levels(it.id), "levels of instrument {}", it.id);
        }
    }

    /// Moves one side's money: out of its hold if it held, else out of what is free. (§5.3)
    pub(super) fn settle(
        &mut self,
        order: &Order,
        price: Price,
        quantity: Quantity,
        commission: i128,
    ) {
        let OrderRequest { account, instrument, side, .. } = order.request;
        let instrument = self.instrument(instrument);
        let quote = (instrument.quote, notional(price, quantity).0);
        let base = (instrument.base, i128::from(quantity.0));
        let (gives, takes) = match side {
            Side::Buy => (quote, base),
            Side::Sell => (base, quote),
        };
        self.balance_mut(account, gives.0).free -= gives.1;
        self.balance_mut(account, takes.0).free += takes.1 - commission;
        self.balance_mut(AccountId::VENUE, takes.0).free += commission;
        // What the order held above its new hold is freed, and so pays for what was given.
        self.hold_anew(order.id);
    }

    /// §5.4.
    pub(super) fn emit_balances_of_both(&mut self, taker: &Order, maker: &Order) {
        let Instrument { base, quote, .. } = *self.instrument(maker.request.instrument);
        let mut accounts = vec![maker.request.account, taker.request.account];
        accounts.dedup();
        for account in accounts {
            self.emit_balance(account, base);
            self.emit_balance(account, quote);
        }
    }
}
