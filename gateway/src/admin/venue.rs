//! The exchange itself: where it stands, its instruments, snapshots, bans.

use protocol::command::SetInstrumentStatus;
use protocol::instrument::Symbol;
use protocol::{Envelope, InstrumentStatus};
use serde::Deserialize;

use super::{Admin, Answered, list, object, refusal};
use crate::calendar::settable_words;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewStatus {
    status: String,
}

impl Admin<'_> {
    pub(super) fn state(&self) -> Answered {
        let core = self.core()?;
        let node = self.gateway.host.node();
        Ok(object(|json| {
            json.flag_field("isRunning", node.is_running);
            json.text_field("durability", &node.durability);
            json.time_field("serverTime", core.now());
            json.number_field("sequence", core.sequence.0);
            json.time_field("stamp", core.stamp);
            json.object_field("stateHash", |json| {
                json.number_field("sequence", core.state_hash.0.0);
                json.text_field("hash", &format!("{:016x}", core.state_hash.1));
            });
            json.object_field("cursors", |json| {
                for (name, position, sequence) in &node.cursors {
                    json.object_field(name, |json| {
                        json.number_field("position", *position);
                        json.number_field("sequence", *sequence);
                    });
                }
            });
            json.number_field("connections", self.gateway.connections() as u64);
            json.number_field("pending", core.pending.len() as u64);
        }))
    }

    pub(super) fn instruments(&self) -> Answered {
        let core = self.core()?;
        Ok(list(|json| {
            for instrument in core.market.instruments() {
                json.object(|json| {
                    json.text_field("symbol", instrument.definition.symbol.as_str());
                    json.text_field("status", instrument.definition.status.as_str());
                });
            }
        }))
    }

    pub(super) async fn set_status(&self, symbol: &str) -> Answered {
        let asked: NewStatus = self.read()?;
        let status = InstrumentStatus::parse(&asked.status)
            .ok_or_else(|| refusal(400, format!("status: one of {}", settable_words())))?;
        let symbol = Symbol::new(symbol).map_err(|_| refusal(404, "no such symbol"))?;
        self.done(SetInstrumentStatus { envelope: Envelope::INTERNAL, symbol, status }).await
    }

    pub(super) fn snapshot(&self) -> Answered {
        self.gateway.host.request_snapshot();
        Ok(object(|json| json.flag_field("requested", true)))
    }

    pub(super) fn bans(&self) -> String {
        let core = self.gateway.core();
        list(|json| {
            for (client, until) in core.limits.usage.bans(core.now()) {
                json.object(|json| {
                    json.text_field("client", &client.to_string());
                    json.time_field("until", until);
                });
            }
        })
    }

    pub(super) fn lift(&self, client: &str) -> Answered {
        let mut core = self.gateway.core();
        let bans = core.limits.usage.bans(core.now());
        let found = bans.iter().find(|(it, _)| it.to_string() == client);
        let (client, _) = found.ok_or_else(|| refusal(404, "no such ban"))?;
        core.limits.usage.lift(client);
        Ok("{}".to_owned())
    }
}
