-- What a test database is brought back to before it serves again: its rows, and where its sequences stand.

create table public.pavane_test (altered boolean not null);
create table public.pavane_test_rows (tab regclass primary key, cols text not null, rows jsonb not null);
create table public.pavane_test_sequences (seq regclass primary key, last bigint not null, called boolean not null);

do $$
declare
    it record;
begin
    for it in
        select c.oid::regclass as tab, string_agg(quote_ident(attname), ', ' order by attnum) as cols
        from pg_class c join pg_attribute on attrelid = c.oid and attnum > 0 and not attisdropped and attgenerated = ''
        where relkind in ('r', 'p') and not relispartition and relname !~ '^pavane_test($|_)'
            and relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
        group by c.oid
    loop
        execute format('insert into public.pavane_test_rows '
                       'select %L::regclass, %L, coalesce(jsonb_agg(to_jsonb(it)), ''[]'') from %s as it', it.tab, it.cols, it.tab);
    end loop;
end $$;

insert into public.pavane_test_sequences
select format('%I.%I', schemaname, sequencename)::regclass, coalesce(last_value, start_value), last_value is not null
from pg_sequences;

-- 1 when it is as it was; 0 when a table, a function or the like was made, changed or dropped.
create function public.pavane_test_reset() returns bigint language plpgsql as $$
declare
    it record;
begin
    if (select altered from public.pavane_test) then
        return 0;
    end if;
    -- No trigger and no foreign key has a say.
    perform set_config('session_replication_role', 'replica', true);
    for it in select * from public.pavane_test_rows loop
        execute format('delete from %s', it.tab);
    end loop;
    for it in select * from public.pavane_test_rows where rows <> '[]' loop
        execute format('insert into %1$s (%2$s) overriding system value '
                       'select %2$s from jsonb_populate_recordset(null::%1$s, $1)', it.tab, it.cols) using it.rows;
    end loop;
    perform setval(seq, last, called) from public.pavane_test_sequences;
    return 1;
end $$;

create function public.pavane_test_altered() returns event_trigger language plpgsql as $$
begin
    update public.pavane_test set altered = true;
end $$;

insert into public.pavane_test values (false);
create event trigger pavane_test_altered on ddl_command_end execute function public.pavane_test_altered();
create event trigger pavane_test_dropped on sql_drop execute function public.pavane_test_altered();
