-- Every row that a commit writes to the framework's tables, in the same commit. Bodies of events are left out.
create table if not exists pavane_history (
    id bigint generated always as identity primary key,
    at bigint not null,
    tx bigint not null,
    -- Every transaction with a lower number had ended.
    ended_before bigint not null,
    op text not null,
    row jsonb not null
);

-- It takes the name of the table: in a partition, `tg_table_name` is that of the partition.
create or replace function pavane_history_keep() returns trigger language plpgsql security definer as $$
declare
    row jsonb := case when tg_op = 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
begin
    insert into pavane_history (at, tx, ended_before, op, row)
    values (pavane_now(), txid_current(), txid_snapshot_xmin(txid_current_snapshot()), lower(tg_op),
            row - array['payload', 'kept', 'body'] || jsonb_build_object('table', tg_argv[0]));
    return null;
end
$$;

do $$
declare
    audited text;
begin
    execute format('alter function pavane_history_keep() set search_path = %I, pg_temp', current_schema());
    foreach audited in array array['inbox', 'ledger', 'outbox', 'unsent', 'timer', 'outcome', 'question', 'dead_letter', 'waiting'] loop
        execute format('drop trigger if exists pavane_history_keeps on pavane_%s', audited);
        execute format('create trigger pavane_history_keeps after insert or update or delete on pavane_%s '
                       'for each row execute function pavane_history_keep(%L)', audited, audited);
    end loop;
end $$;
