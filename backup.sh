#!/usr/bin/env bash
# Backs up the database, Baikal's data and the configuration into one archive with a checksum; docs/operations.md has
# the whole story. Safe in cron: says nothing but what it made, and ends with
#   0 done   1 failed, nothing was kept   2 wrong settings   3 another backup is running
set -euo pipefail
umask 077

usage() {
  cat <<'TEXT'
Usage: ./backup.sh

With docker compose (its postgres is running here): nothing to set.
Without:  DATABASE_URL       the database, for pg_dump; or, with the embedded database,
          DATA_DIR           (./data) its folder; the service must be stopped then
          BAIKAL_DATA        folder with Baikal's config/ and Specific/, if Baikal is on this machine
Always:   BACKUP_DIR         (./data/backups) where archives go
          BACKUP_KEEP        (14) how many to keep
          BACKUP_KEY_FILE    a file with a passphrase: archives are encrypted (openssl, AES-256-CBC, PBKDF2)
TEXT
}
fail() {
  echo "backup.sh: $2" >&2
  exit "$1"
}
case ${1:-} in
  '') ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

home=$(cd "$(dirname "$0")" && pwd)
cd "$home"
BACKUP_DIR=${BACKUP_DIR:-$home/data/backups}
BACKUP_KEEP=${BACKUP_KEEP:-14}
BACKUP_KEY_FILE=${BACKUP_KEY_FILE:-}
DATA_DIR=${DATA_DIR:-$home/data}
[[ $BACKUP_KEEP =~ ^[1-9][0-9]*$ ]] || fail 2 "BACKUP_KEEP is \"$BACKUP_KEEP\"; give a number from 1."
[ -z "$BACKUP_KEY_FILE" ] || [ -s "$BACKUP_KEY_FILE" ] || fail 2 "BACKUP_KEY_FILE names no readable file with a passphrase."
mkdir -p "$BACKUP_DIR" || fail 2 "BACKUP_DIR $BACKUP_DIR cannot be made."

exec 9>"$BACKUP_DIR/.lock" || fail 2 "BACKUP_DIR $BACKUP_DIR cannot be written to."
flock -n 9 || fail 3 "another backup into $BACKUP_DIR is running."

stamp=$(date -u +%Y%m%dT%H%M%SZ)
name=calendar-sync-$stamp
draft=$BACKUP_DIR/.draft.$$
# What a killed run left.
rm -rf "$BACKUP_DIR"/.draft.*
trap 'rm -rf "$draft"' EXIT
trap 'fail 1 "interrupted; nothing was kept."' INT TERM
content=$draft/$name
mkdir -p "$content"

# --- the database ---------------------------------------------------------------------------------------------------
# Before Baikal: what is written between the two is found in Baikal after a restore, and recognised.
# The queue's own schema is left out: jobs are hints, and it is made anew.
dump=(pg_dump --no-owner --no-privileges --exclude-schema=pgboss)
has_compose() {
  [ -z "${DATABASE_URL:-}" ] && command -v docker >/dev/null && [ -n "$(docker compose ps -q postgres 2>/dev/null)" ]
}
if has_compose; then
  way=compose
  docker compose exec -T postgres "${dump[@]}" -U calendaruser -d calendardb | gzip >"$content/database.sql.gz" ||
    fail 1 'pg_dump failed in the container of postgres.'
elif [ -n "${DATABASE_URL:-}" ]; then
  way=server
  command -v pg_dump >/dev/null || fail 2 'pg_dump is not installed (Debian: postgresql-client).'
  # The password must not show in the list of processes.
  if [[ $DATABASE_URL =~ ^([a-z]+://[^:/@]*):([^@]*)@(.*)$ ]]; then
    PGPASSWORD=$(printf '%b' "${BASH_REMATCH[2]//%/\\x}")
    export PGPASSWORD
    DATABASE_URL=${BASH_REMATCH[1]}@${BASH_REMATCH[3]}
  fi
  "${dump[@]}" --dbname="$DATABASE_URL" | gzip >"$content/database.sql.gz" ||
    fail 1 'pg_dump failed; its version must not be older than that of the server.'
elif [ -f "$DATA_DIR/postgres/PG_VERSION" ]; then
  way=embedded
  # The embedded database brings no pg_dump, and a running one cannot be copied.
  server=$(head -n 1 "$DATA_DIR/postgres/postmaster.pid" 2>/dev/null || true)
  if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
    fail 1 'the embedded database is running: stop calendar-sync, run this, and start it again.'
  fi
  tar -C "$DATA_DIR" -czf "$content/database.tar.gz" --exclude=postmaster.pid --exclude='postgres/log/*' \
    --exclude='postgres/.s.PGSQL.*' postgres || fail 1 'the folder of the embedded database could not be copied.'
else
  fail 2 "no database: set DATABASE_URL or DATA_DIR, or start the service with docker compose (--help)."
fi

# --- Baikal ---------------------------------------------------------------------------------------------------------
# Runs where Baikal is, and writes a tar. A copied SQLite file may be torn; VACUUM INTO makes a whole one of one moment.
# shellcheck disable=SC2016 # for the shell that runs it
baikal_snapshot='
set -eu
cd "$1"
folder=$(mktemp -d)
trap "rm -rf \"$folder\"" EXIT
mkdir -p "$folder/Specific/db"
mkdir "$folder/config"
tar -cf - --exclude="./.before-*" -C config . | tar -xpf - -C "$folder/config"
tar -cf - --exclude="./.before-*" --exclude="./db/db.sqlite*" --exclude=./sessions -C Specific . | tar -xpf - -C "$folder/Specific"
if [ -f Specific/db/db.sqlite ]; then
  to=$folder/Specific/db/db.sqlite
  if command -v sqlite3 >/dev/null; then
    sqlite3 -cmd ".timeout 20000" Specific/db/db.sqlite "VACUUM INTO \"$to\"" >&2
  elif php -m 2>/dev/null | grep -qx pdo_sqlite; then
    php -r "\$db = new PDO(\"sqlite:Specific/db/db.sqlite\"); \$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION); \$db->setAttribute(PDO::ATTR_TIMEOUT, 20); \$db->exec(\"VACUUM INTO \" . \$db->quote(\$argv[1]));" "$to" >&2
  elif [ -n "$2" ]; then
    "$2" --disable-warning=ExperimentalWarning -e "
      const db = new (require(\"node:sqlite\").DatabaseSync)(process.argv[1], { timeout: 20000 });
      db.prepare(\"VACUUM INTO ?\").run(process.argv[2]);" Specific/db/db.sqlite "$to" >&2
  else
    echo "sqlite3, php with pdo_sqlite or Node 24 is needed to copy the database of Baikal." >&2
    exit 1
  fi
  chmod --reference=Specific/db/db.sqlite "$to"
  chmod --reference=Specific/db "$folder/Specific/db"
fi
tar -cf - -C "$folder" .
'
mkdir "$content/baikal"
if [ "$way" = compose ]; then
  docker compose exec -T baikal sh -c "$baikal_snapshot" sh /var/www/baikal '' | tar -xpf - -C "$content/baikal" ||
    fail 1 "Baikal's data could not be copied from its container."
elif [ -n "${BAIKAL_DATA:-}" ]; then
  if [ ! -d "$BAIKAL_DATA/config" ] || [ ! -d "$BAIKAL_DATA/Specific" ]; then
    fail 2 "BAIKAL_DATA $BAIKAL_DATA has no folders config and Specific."
  fi
  node=$home/node_modules/.bin/node
  [ -x "$node" ] || node=$(command -v node || true)
  sh -c "$baikal_snapshot" sh "$BAIKAL_DATA" "$node" | tar -xpf - -C "$content/baikal" || fail 1 "Baikal's data could not be copied."
fi
backend=$(sed -n "s/^ *backend: *['\"]\{0,1\}\([a-z]*\).*/\1/p" "$content/baikal/config/baikal.yaml" 2>/dev/null || true)
if [ -n "$backend" ] && [ "$backend" != sqlite ]; then
  echo "backup.sh: Baikal keeps its events in $backend; this archive does not hold them. Back that database up as well." >&2
fi

# --- configuration, without the keys --------------------------------------------------------------------------------
mkdir "$content/configuration"
for file in calendars.yaml docker-compose.yml docker-compose.override.yml; do
  [ ! -f "$file" ] || cp "$file" "$content/configuration/"
done
for folder in config nginx; do
  [ ! -d "data/$folder" ] || cp -R "data/$folder" "$content/configuration/"
done
if [ -f .env ]; then
  grep -vE '^[[:space:]]*(export[[:space:]]+)?ENCRYPTION_KEY(S_OLD)?[[:space:]]*=' .env >"$content/configuration/env" || true
fi
printf 'name %s\nway %s\nmade %s\n' "$name" "$way" "$stamp" >"$content/manifest"

# --- one file, complete or not at all -------------------------------------------------------------------------------
(cd "$content" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$draft/SHA256SUMS"
mv "$draft/SHA256SUMS" "$content/"
archive=$name.tar.gz
tar -C "$draft" -czf "$draft/$archive" "$name" || fail 1 'the archive could not be written; is the disk full?'
if [ -n "$BACKUP_KEY_FILE" ]; then
  openssl enc -aes-256-cbc -pbkdf2 -iter 600000 -salt -pass "file:$BACKUP_KEY_FILE" -in "$draft/$archive" \
    -out "$draft/$archive.enc" || fail 1 'the archive could not be encrypted.'
  archive=$archive.enc
fi
(cd "$draft" && sha256sum "$archive" >"$archive.sha256" && sync "$archive" "$archive.sha256")
mv "$draft/$archive.sha256" "$BACKUP_DIR/"
mv "$draft/$archive" "$BACKUP_DIR/"
sync "$BACKUP_DIR"

# Only now may older ones go; the names sort by time.
find "$BACKUP_DIR" -maxdepth 1 -type f \( -name 'calendar-sync-*.tar.gz' -o -name 'calendar-sync-*.tar.gz.enc' \) |
  sort -r | tail -n "+$((BACKUP_KEEP + 1))" | while read -r old; do
  rm -f "$old" "$old.sha256"
done
echo "$BACKUP_DIR/$archive"
