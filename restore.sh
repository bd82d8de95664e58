#!/usr/bin/env bash
# Puts a backup of backup.sh back: into an empty installation, or with --replace over what is there. calendar-sync must
# be stopped, and is not started. Ends with
#   0 done   1 failed   2 wrong settings, or something is in the way; nothing was changed
set -euo pipefail
umask 077

usage() {
  cat <<'TEXT'
Usage: ./restore.sh [--replace] [--only database|baikal] ARCHIVE

--replace   throw away what is in the database; Baikal's folders are moved aside
--only      put only one of the two back; the other stays as it is

Settings as for backup.sh: nothing with docker compose; else DATABASE_URL or DATA_DIR, and BAIKAL_DATA.
BACKUP_KEY_FILE for an encrypted archive.
TEXT
}
fail() {
  echo "restore.sh: $2" >&2
  exit "$1"
}

replace=no
only=
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --replace) replace=yes ;;
    --only)
      only=${2:-}
      [[ $only =~ ^(database|baikal)$ ]] || fail 2 '--only takes database or baikal.'
      shift
      ;;
    -*) usage >&2 && exit 2 ;;
    *) break ;;
  esac
  shift
done
[ $# -eq 1 ] || { usage >&2 && exit 2; }
archive=$(realpath "$1")
[ -f "$archive" ] || fail 2 "$1 is no file."

home=$(cd "$(dirname "$0")" && pwd)
cd "$home"
DATA_DIR=${DATA_DIR:-$home/data}
draft=$(mktemp -d)
trap 'rm -rf "$draft"' EXIT

# --- the archive is whole -------------------------------------------------------------------------------------------
if [ -f "$archive.sha256" ]; then
  (cd "$(dirname "$archive")" && sha256sum --quiet -c "$archive.sha256") || fail 2 "$archive is damaged; take another one."
fi
if [[ $archive == *.enc ]]; then
  [ -s "${BACKUP_KEY_FILE:-}" ] || fail 2 'the archive is encrypted: set BACKUP_KEY_FILE.'
  openssl enc -d -aes-256-cbc -pbkdf2 -iter 600000 -pass "file:$BACKUP_KEY_FILE" -in "$archive" -out "$draft/plain" 2>/dev/null ||
    fail 2 'the archive cannot be decrypted: another key, or it is damaged.'
else
  ln -s "$archive" "$draft/plain"
fi
mkdir "$draft/content"
tar -C "$draft/content" --strip-components=1 --no-same-owner -xpzf "$draft/plain" || fail 2 "$archive is damaged; take another one."
content=$draft/content
(cd "$content" && sha256sum --quiet -c SHA256SUMS) || fail 2 "$archive is damaged; take another one."

# --- where it goes --------------------------------------------------------------------------------------------------
if [ -z "${DATABASE_URL:-}" ] && command -v docker >/dev/null && [ -n "$(docker compose ps -q postgres 2>/dev/null)" ]; then
  way=compose
  sql=(docker compose exec -T postgres psql -U calendaruser -d calendardb)
elif [ -n "${DATABASE_URL:-}" ]; then
  way=server
  if [[ $DATABASE_URL =~ ^([a-z]+://[^:/@]*):([^@]*)@(.*)$ ]]; then
    PGPASSWORD=$(printf '%b' "${BASH_REMATCH[2]//%/\\x}")
    export PGPASSWORD
    DATABASE_URL=${BASH_REMATCH[1]}@${BASH_REMATCH[3]}
  fi
  sql=(psql --dbname="$DATABASE_URL")
else
  way=embedded
  [ "$only" != baikal ] || fail 2 'beside an embedded database put both back: it has to be told.'
fi
# No start-up file, no questions, the first error ends it.
[ "$way" = embedded ] || sql+=(-X -q -v ON_ERROR_STOP=1)

has_database=no
if [ "$only" != baikal ]; then
  has_database=yes
  if [ "$way" = embedded ]; then
    [ -f "$content/database.tar.gz" ] || fail 2 'the archive holds a dump: set DATABASE_URL to the server that it goes to.'
    if [ -e "$DATA_DIR/postgres" ] && [ "$replace" = no ]; then
      fail 2 "$DATA_DIR/postgres is there already; --replace moves it aside."
    fi
    server=$(head -n 1 "$DATA_DIR/postgres/postmaster.pid" 2>/dev/null || true)
    if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then fail 2 'stop calendar-sync first.'; fi
  else
    [ -f "$content/database.sql.gz" ] ||
      fail 2 'the archive holds the folder of an embedded database: unset DATABASE_URL, set DATA_DIR.'
    users=$("${sql[@]}" -At -c "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()") ||
      fail 2 'the database does not answer.'
    [ "$users" = 0 ] || fail 2 'somebody uses the database: stop calendar-sync first (docker compose stop middleware worker).'
    tables=$("${sql[@]}" -At -c "select count(*) from pg_tables where schemaname = 'public'")
    [ "$tables" = 0 ] || [ "$replace" = yes ] || fail 2 'the database is not empty; --replace throws away what is in it.'
  fi
fi
has_baikal=no
if [ "$only" != database ] && [ -d "$content/baikal/config" ]; then
  if [ "$way" = compose ]; then
    has_baikal=yes
  elif [ -n "${BAIKAL_DATA:-}" ]; then
    has_baikal=yes
    if [ -e "$BAIKAL_DATA/config/baikal.yaml" ] && [ "$replace" = no ]; then
      fail 2 "$BAIKAL_DATA holds a Baikal already; --replace moves it aside."
    fi
  elif [ "$only" = baikal ]; then
    fail 2 'set BAIKAL_DATA to the folder with config and Specific.'
  fi
fi
[ "$has_database$has_baikal" != nono ] || fail 2 'the archive holds nothing of Baikal.'

# --- after a restore, nothing that was known of the outside is known any more ---------------------------------------
# Every source is read from its start, and every entry is compared with what is there and written again under its etag.
forget='
delete from stream;
update source set is_full_wanted = true, wanted_version = wanted_version + 1, next_poll_at = now(), not_before = null,
  failures = 0;
update object set etag = null, fingerprint = null;
update target_calendar set href = null, sync_token = null, listed_at = null;
update target set not_before = null, failures = 0;
update meeting set wanted_version = wanted_version + 1, wanted_at = now(), not_before = null;
'
audit="insert into audit (at, actor, action, subject) values (now(), 'restore.sh', 'restore', '$(basename "$archive" | tr -cd 'A-Za-z0-9._-')');"

# --- Baikal ---------------------------------------------------------------------------------------------------------
if [ "$has_baikal" = yes ]; then
  aside=before-$(date -u +%Y%m%dT%H%M%SZ)
  # shellcheck disable=SC2016 # for the shell that runs it
  put_baikal='
set -eu
cd "$1"
for name in config Specific; do
  mkdir -p "$name/.$2"
  find "$name" -mindepth 1 -maxdepth 1 ! -name ".before-*" -exec mv {} "$name/.$2/" \;
  rmdir "$name/.$2" 2>/dev/null || true
done
tar -xpf - --no-same-owner --no-overwrite-dir
for name in config Specific; do chown -R "$(stat -c %u:%g "$name")" "$name"; done
'
  if [ "$way" = compose ]; then
    docker compose stop baikal >/dev/null 2>&1
    tar -C "$content/baikal" -cf - config Specific |
      docker compose run --rm --no-deps -T --entrypoint sh baikal -c "$put_baikal" sh /var/www/baikal "$aside" ||
      fail 1 "Baikal's data could not be written."
    docker compose start baikal >/dev/null 2>&1 || fail 1 'Baikal does not start.'
  else
    mkdir -p "$BAIKAL_DATA"
    tar -C "$content/baikal" -cf - config Specific | sh -c "$put_baikal" sh "$BAIKAL_DATA" "$aside" ||
      fail 1 "Baikal's data could not be written."
  fi
  echo "Baikal's data is back; what was there before is in config/.$aside and Specific/.$aside."
fi

# --- the database, in one transaction -------------------------------------------------------------------------------
if [ "$has_database" = yes ] && [ "$way" != embedded ]; then
  {
    echo 'set client_min_messages = warning; drop schema if exists pgboss cascade; drop schema public cascade; create schema public;'
    # Some versions of pg_dump repeat it.
    gzip -dc "$content/database.sql.gz" | sed -e '/^CREATE SCHEMA public;$/d'
    # A dump leaves the search path empty.
    echo "set search_path = public; $forget $audit"
  } | "${sql[@]}" -1 -f - >/dev/null || fail 1 'the database could not be restored; it is as it was before.'
  echo 'The database is back; every source will be read from its start, every entry compared.'
elif [ "$has_database" = yes ]; then
  if [ -e "$DATA_DIR/postgres" ]; then
    mv "$DATA_DIR/postgres" "$DATA_DIR/postgres.before-$(date -u +%Y%m%dT%H%M%SZ)"
  fi
  mkdir -p "$DATA_DIR"
  # As it was owned: PostgreSQL refuses a folder of somebody else.
  tar -C "$DATA_DIR" -xzpf "$content/database.tar.gz" || fail 1 'the folder of the database could not be written.'
  node=node_modules/.bin/node
  [ -x "$node" ] || node=node
  # The product's own way to start its database, from source or built.
  SQL="$forget $audit" DATA_DIR=$DATA_DIR "$node" --input-type=module -e "
    import { existsSync } from 'node:fs';
    import { Client } from 'pg';
    const built = existsSync('src') ? './src/store/embedded-postgres.ts' : './dist/store/embedded-postgres.js';
    const { startEmbedded } = await import(built);
    const server = await startEmbedded(process.env.DATA_DIR);
    const client = new Client({ connectionString: server.url });
    await client.connect();
    await client.query('begin;' + process.env.SQL + 'commit');
    await client.end();
    await server.stop();" ||
    fail 1 'the restored database could not be prepared; do not start calendar-sync on it.'
  echo 'The embedded database is back; every source will be read from its start, every entry compared.'
else
  # Only Baikal went back in time: what we remember of it is no longer so.
  printf '%s %s' "$forget" "$audit" | "${sql[@]}" -1 -f - >/dev/null ||
    fail 1 'the database could not be told; run this with --only database as well.'
  echo 'The database knows: every source will be read from its start, every entry compared.'
fi
echo "Configuration is in the archive's folder configuration, for you to compare. Put ENCRYPTION_KEY in its place, then start."
