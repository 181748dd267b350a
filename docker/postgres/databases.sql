-- One database and one role for each service; no role may connect to the database of another service.
-- Runs once, when the volume is empty. The passwords are for a machine at hand.
create temporary table service (name text);
insert into service values ('order'), ('payment'), ('inventory'), ('shipping'), ('notification');

select format('create role %I login password %L', name, name) from service \gexec
select format('create database %I owner %I template template0 encoding ''UTF8''', name, name) from service \gexec
select format('revoke all on database %I from public', name) from service \gexec
