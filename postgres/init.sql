-- The role and the database of calendar-sync on a fresh PostgreSQL 15 or later. The image in docker-compose.yml runs it
-- by itself; elsewhere, as a superuser:
--
--   CALENDARUSER_PASSWORD_FILE=/path/to/password psql -d postgres -f postgres/init.sql
--
-- The tables are the product's own affair: each start brings them up to date.
\set ON_ERROR_STOP on
\set password `cat "$CALENDARUSER_PASSWORD_FILE"`
select length(:'password') < 8 as is_too_short \gset
\if :is_too_short
  \warn 'CALENDARUSER_PASSWORD_FILE must name a file with a password of 8 characters or more.'
  select 1 / 0 as "no password, no role";
\endif

create role calendaruser login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'password';
create database calendardb template template0 encoding 'UTF8';

-- It may connect and make schemas (the job queue has one of its own, pgboss), and owns what it made. It cannot drop,
-- rename or share the database, and nobody else may connect to it.
revoke all on database calendardb from public;
grant connect, create on database calendardb to calendaruser;

\connect calendardb
alter schema public owner to calendaruser;
revoke all on schema public from public;
