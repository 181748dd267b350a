//! Mistakes that are made in a service's tables.

use super::Bug;

impl Bug {
    /// SQL that plants it in a service's database, once the tables are there.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most mistakes are not made in the database")]
    pub(in crate::simulation) const fn triggers(self) -> Option<&'static str> {
        Some(match self {
            Self::DuplicateFailsBatch => {
                "create trigger planted before insert on pavane_inbox \
                 when exists (select 1 from pavane_inbox where reaction = new.reaction and event_id = new.event_id) \
                 begin select raise(abort, 'unique constraint failed'); end"
            }
            Self::RowsNotKept => {
                "create trigger planted after delete on pavane_unsent \
                 begin delete from pavane_outbox where seq = old.seq; end"
            }
            Self::NeverPruned => {
                "create trigger planted before delete on pavane_outbox \
                 begin select raise(ignore); end"
            }
            Self::NeverGivesUp => {
                "create trigger planted after insert on pavane_attempt \
                 begin delete from pavane_attempt where reaction = new.reaction and event_id = new.event_id; end"
            }
            Self::InboxForgets => {
                "create trigger planted after insert on pavane_inbox \
                 begin delete from pavane_inbox where reaction = new.reaction and event_id = new.event_id; end"
            }
            Self::LedgerWriteLost => {
                "create trigger planted after insert on pavane_ledger when new.state = 'running' \
                 begin delete from pavane_ledger where saga = new.saga and step = new.step; end"
            }
            Self::RunningIgnored => {
                "create trigger planted after insert on pavane_waiting \
                 begin delete from pavane_waiting where reaction = new.reaction and event_id = new.event_id; end"
            }
            Self::UndoFirstIgnored => {
                "create trigger planted after insert on pavane_ledger when new.state = 'barred' \
                 begin delete from pavane_ledger where saga = new.saga and step = new.step; end"
            }
            Self::JoinNotBarred => {
                "create trigger planted after update on pavane_ledger when old.state = 'gathering' and new.state = 'barred' \
                 and not exists (select 1 from pavane_ledger where saga = new.saga and step = new.step and item <> '') \
                 begin update pavane_ledger set state = 'gathering' where saga = new.saga and step = new.step; end"
            }
            Self::OutcomeForgotten => {
                "create trigger planted after insert on pavane_outcome \
                 begin delete from pavane_outcome where saga = new.saga; end"
            }
            // The timer was set just before: it is the newest one of its saga.
            Self::LateAnswer => {
                "create trigger planted after insert on pavane_question \
                 begin insert into pavane_timer (event_id, saga, event, subject, headers, payload, due_at) \
                 select new.event_id, saga, event, subject, headers, payload, due_at + 3600000000 from pavane_timer \
                 where saga = new.saga order by rowid desc limit 1; end"
            }
            _ => return self.triggers_on_joins(),
        })
    }

    /// The same, of mistakes with joins.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most mistakes are made elsewhere")]
    const fn triggers_on_joins(self) -> Option<&'static str> {
        Some(match self {
            // To both, an event that a join has is new when it comes again.
            Self::JoinRunsAgain => {
                "create trigger planted after insert on pavane_part \
                 begin delete from pavane_inbox where reaction = new.step and event_id = new.event_id; end; \
                 create trigger planted_too before insert on pavane_inbox \
                 begin update pavane_ledger set state = 'gathering', event_id = null where step = new.reaction and state = 'done' \
                 and saga in (select saga from pavane_part where step = new.reaction and event_id = new.event_id); end"
            }
            // It counts as an event that the join lacks, and others have.
            Self::JoinCountsDuplicates => {
                "create trigger planted after insert on pavane_part \
                 begin delete from pavane_inbox where reaction = new.step and event_id = new.event_id; end; \
                 create trigger planted_too before insert on pavane_inbox \
                 begin insert or ignore into pavane_part (saga, step, part, event_id, event, arrived_at) \
                 select has.saga, has.step, lacks.part, has.saga, \
                 cast(json_set(has.event, '$.type', lacks.part, '$.id', has.saga) as blob), \
                 has.arrived_at from pavane_part as has \
                 join (select distinct part from pavane_part where step = new.reaction and item = '') as lacks \
                 where has.step = new.reaction and has.event_id = new.event_id and lacks.part not in \
                 (select part from pavane_part where saga = has.saga and step = has.step) limit 1; end"
            }
            _ => return self.triggers_on_items(),
        })
    }

    /// The same, of mistakes with items.
    #[expect(clippy::wildcard_enum_match_arm, reason = "most mistakes are made elsewhere")]
    const fn triggers_on_items(self) -> Option<&'static str> {
        Some(match self {
            Self::ItemNotUndone => {
                "create trigger planted after update of kept on pavane_ledger when new.item not in ('', '1') and new.kept is not null \
                 begin update pavane_ledger set kept = null \
                 where saga = new.saga and step = new.step and item = new.item; end"
            }
            Self::ItemNotBarred => {
                "create trigger planted after update on pavane_ledger when old.state = 'gathering' and new.state = 'barred' \
                 and exists (select 1 from pavane_ledger where saga = new.saga and step = new.step and item <> '') \
                 begin update pavane_ledger set state = 'gathering' where saga = new.saga and step = new.step and item = ''; end"
            }
            Self::ItemKeepsAnothers => {
                "create trigger planted after update of kept on pavane_ledger when new.item not in ('', '1') \
                 begin update pavane_ledger set kept = first.kept from pavane_ledger as first where first.saga = new.saga \
                 and first.step = new.step and first.item = '1' and first.kept is not null \
                 and pavane_ledger.saga = new.saga and pavane_ledger.step = new.step and pavane_ledger.item = new.item; end"
            }
            // A part says which item it is, and of how many: 1/3.
            Self::ItemCountsTwice => {
                "create trigger planted after insert on pavane_part \
                 when new.item + 0 < substr(new.item, instr(new.item, '/') + 1) + 0 \
                 begin insert or ignore into pavane_part (saga, step, part, item, event_id, event, arrived_at) \
                 values (new.saga, new.step, new.part, (new.item + 1) || substr(new.item, instr(new.item, '/')), \
                 new.event_id, new.event, new.arrived_at); end"
            }
            _ => return None,
        })
    }
}
