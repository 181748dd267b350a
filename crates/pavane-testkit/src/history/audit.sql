-- It locks the tables for a moment, and must not keep the services waiting for long.
set local lock_timeout = '5s';
-- All of it beside the framework's tables, wherever these are.
select set_config('search_path', quote_ident(nspname), true)
from pg_class join pg_namespace on pg_namespace.oid = relnamespace where pg_class.oid = 'pavane_inbox'::regclass;

-- Every row that a commit writes to the framework's tables, in the same commit. Bodies of events are left out.
create table if not exists pavane_history (
    id bigint generated always as identity primary key,
    at bigint not null,
    tx bigint not null,
    -- Which transactions had ended.
    saw txid_snapshot not null,
    op text not null,
    row jsonb not null
);
truncate pavane_history;

-- It takes the name of the table: in a partition, `tg_table_name` is that of the partition.
create or replace function pavane_history_keep() returns trigger language plpgsql security definer as $$
declare
    row jsonb := case when tg_op = 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
begin
    insert into pavane_history (at, tx, saw, op, row)
    values (pavane_now(), txid_current(), txid_current_snapshot(), lower(tg_op),
            row - array['payload', 'kept', 'body'] || jsonb_build_object('table', tg_argv[0]));
    return null;
end
$$;

do $$
declare
    audited text;
begin
    execute format('alter function pavane_history_keep() set search_path = %I, pg_temp', current_schema());
    foreach audited in array array['inbox', 'ledger', 'outbox', 'unsent', 'timer', 'outcome', 'dead_letter', 'waiting'] loop
        execute format('drop trigger if exists pavane_history_keeps on pavane_%s', audited);
        execute format('create trigger pavane_history_keeps after insert or update or delete on pavane_%s '
                       'for each row execute function pavane_history_keep(%L)', audited, audited);
        -- Even where session_replication_role turns triggers off.
        execute format('alter table pavane_%s enable always trigger pavane_history_keeps', audited);
    end loop;
end $$;

-- On a table of their own, others could have it write what they like.
revoke execute on function pavane_history_keep() from public;
