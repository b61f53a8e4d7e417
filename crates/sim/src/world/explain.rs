//! How things stand at the end of a run that is told in words: what each side holds of the machine it is about.

use muster_brain::shard::Append;
use muster_model::MachineEntry;

use super::World;
use super::stream::Logged;
use super::trace::Clock;

/// Entries of a machine's log that are shown.
const ENTRIES_SHOWN: usize = 8;
/// Records and tokens that are shown.
const RECORDS_SHOWN: usize = 8;

impl World {
    /// In words: the machine, its disk, its connections, the server, the log. Of the server alone, where it is about no machine.
    pub(super) fn stands(&self, machine: Option<usize>) -> Vec<String> {
        let mut words = Vec::new();
        let state = match (self.server.is_up(), self.server.draining) {
            (false, _) => "off",
            (true, true) => "being stopped",
            (true, false) => "on",
        };
        let settled = if self.server.is_settled() {
            "nothing is on its way to the log"
        } else {
            "batches are on their way to the log"
        };
        words.push(format!(
            "server: {state}, started {} times, {} entries in its log, {settled}",
            self.server.life, self.counts.entries
        ));
        if let Some(machine) = machine.filter(|machine| *machine < self.machines.len()) {
            self.machine_stands(machine, &mut words);
            self.connections_stand(machine, &mut words);
            self.log_stands(machine, &mut words);
            self.judge.stands(machine, RECORDS_SHOWN, &mut words);
        }
        words
    }

    fn machine_stands(&self, machine: usize, words: &mut Vec<String>) {
        let this = &self.machines[machine];
        let state = match (&this.link, &this.suspended) {
            (None, _) => "off".to_owned(),
            (Some(_), Some(_)) => "standing still".to_owned(),
            (Some(link), None) => {
                let figures = link.figures();
                format!(
                    "on, its link is {}, {} records wait, settled up to {}",
                    link.state().as_str(),
                    figures.outbox,
                    link.settled()
                )
            }
        };
        words.push(format!("machine {machine}: {state}, started {} times", this.life));
        let durable = &this.disk.durable;
        let records: Vec<String> = durable
            .records
            .values()
            .take(RECORDS_SHOWN)
            .map(|stored| {
                let token = super::workload::token_of(&stored.message);
                let what = token.map_or_else(
                    || stored.message.type_name().to_owned(),
                    |token| format!("token {token}"),
                );
                format!("{}: {what}", stored.record)
            })
            .collect();
        let more = durable.records.len().saturating_sub(RECORDS_SHOWN);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        words.push(format!(
            "its disk: highest record {}, settled up to {}, holds [{}]{more}; {} records are not written yet",
            durable.highest,
            durable.settled,
            records.join(", "),
            this.disk.unwritten()
        ));
    }

    fn connections_stand(&self, machine: usize, words: &mut Vec<String>) {
        let end = |open: bool| if open { "open" } else { "closed" };
        for id in self.network.of(machine) {
            if let Some(ends) = self.network.connections.get(&id) {
                words.push(format!(
                    "connection {id}: {} at the machine, {} at the server{}",
                    end(ends.machine_open),
                    end(ends.server_open),
                    if ends.up.cut || ends.down.cut { ", cut" } else { "" }
                ));
            }
        }
        let blocked = [
            (self.network.blocked_up[machine], "towards the server"),
            (self.network.blocked_down[machine], "towards the machine"),
        ];
        for (_, way) in blocked.into_iter().filter(|(blocked, _)| *blocked) {
            words.push(format!("nothing passes {way}"));
        }
    }

    fn log_stands(&self, machine: usize, words: &mut Vec<String>) {
        let id = self.machines[machine].id;
        if let Some(view) = self.server.shard_of(machine).and_then(|shard| shard.view(id)) {
            words.push(format!(
                "shown: version {}, {}, session {}, highest record {}, state of record {}",
                view.version, view.presence, view.session, view.highest_record, view.state_version
            ));
        }
        let stream = self.server.log.stream(machine);
        let tail = stream.tail();
        words.push(format!(
            "its stream in the log has {} entries; the last ones:",
            stream.len()
        ));
        for logged in &tail[tail.len().saturating_sub(ENTRIES_SHOWN)..] {
            words.push(format!("  {}", logged_words(logged)));
        }
    }
}

fn logged_words(logged: &Logged) -> String {
    let placed = &logged.placed;
    format!(
        "version {}, position {}: {}",
        placed.version,
        placed.position,
        entry_words(&logged.entry)
    )
}

/// What is to be appended, in words.
pub(super) fn append_words(append: &Append) -> String {
    format!(
        "{}, behind version {}",
        entry_words(&append.entry),
        append.expected
    )
}

fn entry_words(entry: &MachineEntry) -> String {
    match entry {
        MachineEntry::StateReported { record, .. } => format!("state in record {record}"),
        MachineEntry::EventReported { record, event } => {
            format!("token {} in record {record}", event.message)
        }
        entry => format!("{entry:?}"),
    }
}

/// A moment of a run in words.
pub(super) fn moment(now: super::schedule::Time) -> String {
    Clock(now).to_string().trim_start().to_owned()
}
