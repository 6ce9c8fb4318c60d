//! What a venue says beside its books: trades and quotes, passed on in whole numbers.

use super::Source;
use crate::adapter::{Quote, ReadQuote, ReadTrade, Sink, Trade};
use crate::decimal::{Decimal, Misfit};

pub(super) fn traded<S: Sink>(source: &mut Source, now: u64, trade: &ReadTrade, sink: &mut S) {
    source.counts.trades += 1;
    if trade.id > 0 {
        if let Some(last) = source.trade.filter(|&last| trade.id > last) {
            source.counts.trades_missed += trade.id - last - 1;
        }
        source.trade = source.trade.max(Some(trade.id));
    }
    let scales = source.book.scales();
    let price = trade.price.price_at_scale(scales.price);
    let quantity = trade.quantity.at_scale(scales.quantity);
    let (Ok(price), Ok(quantity)) = (price, quantity) else {
        source.counts.refused += 1;
        return;
    };
    let ReadTrade { id, taker, event_ms, .. } = *trade;
    let event_ns = event_ms.saturating_mul(1_000_000);
    sink.trade(&Trade {
        source: source.id,
        scales,
        id,
        price,
        quantity,
        taker,
        event_ns,
        receive_ns: now,
    });
}

pub(super) fn quoted<S: Sink>(source: &mut Source, now: u64, quote: &ReadQuote, sink: &mut S) {
    source.counts.quotes += 1;
    let scales = source.book.scales();
    let pair = |(price, quantity): (Decimal, Decimal)| {
        Ok::<_, Misfit>((price.price_at_scale(scales.price)?, quantity.at_scale(scales.quantity)?))
    };
    let (Ok(bid), Ok(ask)) = (pair(quote.bid), pair(quote.ask)) else {
        source.counts.refused += 1;
        return;
    };
    sink.quote(&Quote {
        source: source.id,
        scales,
        update: quote.update,
        bid,
        ask,
        receive_ns: now,
    });
}
