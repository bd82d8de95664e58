#!/usr/bin/env bash
# Backs up the database, Baikal's data and the configuration into one archive with a checksum; docs/operations.md has
# the whole story. Safe in cron: says nothing but what it made, and ends with
#   0 done   1 failed, nothing was kept   2 wrong settings   3 another backup is running
# "calendar-sync backup" is the same.
set -euo pipefail
umask 077

usage() {
  cat <<'TEXT'
Usage: ./backup.sh

With docker compose (its postgres is running here): nothing to set.
Without:  DATABASE_URL       the database; or, with the embedded one,
          DATA_DIR           (./data) its folder; both from .env where they are not set. The service may go on
          BAIKAL_DATA        folder with Baikal's config/ and Specific/, if Baikal is on this machine
Always:   BACKUP_DIR         (./data/backups) where archives go
          BACKUP_KEEP        (14) how many to keep
          BACKUP_KEY_FILE    a file with a passphrase: archives are encrypted (openssl, AES-256-CBC, PBKDF2)
TEXT
}
told=no
fail() {
  told=yes
  echo "backup.sh: $2" >&2
  exit "$1"
}
case ${1:-} in
  '') ;;
  -h | --help) usage && exit 0 ;;
  *) usage >&2 && exit 2 ;;
esac

here=$(cd "$(dirname "$0")" && pwd)
home=${CALENDAR_SYNC_HOME:-$here}
cd "$home"
# The program beside this script, from source or built, on the Node that came with it.
node=${CALENDAR_SYNC_NODE:-$here/node_modules/.bin/node}
[ -x "$node" ] || node=$(command -v node || true)
program=${CALENDAR_SYNC_PROGRAM:-$here/src/main.ts}
[ -f "$program" ] || program=$here/dist/main.js
BACKUP_DIR=${BACKUP_DIR:-$home/data/backups}
BACKUP_KEEP=${BACKUP_KEEP:-14}
BACKUP_KEY_FILE=${BACKUP_KEY_FILE:-}
[[ $BACKUP_KEEP =~ ^[1-9][0-9]*$ ]] || fail 2 "BACKUP_KEEP is \"$BACKUP_KEEP\"; give a number from 1."
[ -z "$BACKUP_KEY_FILE" ] || { [ -s "$BACKUP_KEY_FILE" ] && [ -r "$BACKUP_KEY_FILE" ]; } || fail 2 "BACKUP_KEY_FILE names no readable file with a passphrase."
mkdir -p "$BACKUP_DIR" 2>/dev/null || fail 2 "BACKUP_DIR $BACKUP_DIR cannot be made."
BACKUP_DIR=$(cd "$BACKUP_DIR" 2>/dev/null && pwd) || fail 2 "BACKUP_DIR cannot be entered."
[ -w "$BACKUP_DIR" ] || fail 2 "BACKUP_DIR $BACKUP_DIR cannot be written to."

exec 9>"$BACKUP_DIR/.lock" || fail 2 "BACKUP_DIR $BACKUP_DIR cannot be written to."
flock -n 9 || fail 3 "another backup into $BACKUP_DIR is running."

stamp=$(date -u +%Y%m%dT%H%M%SZ)
name=calendar-sync-$stamp
draft=$BACKUP_DIR/.draft.$$
# What a killed run left.
rm -rf "$BACKUP_DIR"/.draft.*
# Whatever went wrong without a word of ours: a command has said it, most often that the disk is full.
finish() {
  local code=$?
  rm -rf "$draft"
  [ "$code" = 0 ] || [ "$told" = yes ] || { echo 'backup.sh: failed (see above; is the disk full?); nothing was kept.' >&2 && exit 1; }
}
trap finish EXIT
trap 'fail 1 "interrupted; nothing was kept."' INT TERM
content=$draft/$name
mkdir -p "$content"

# --- the database ---------------------------------------------------------------------------------------------------
# Before Baikal: what is written between the two is found in Baikal after a restore, and recognised.
has_compose() {
  [ -z "${DATABASE_URL:-}" ] && command -v docker >/dev/null && [ -n "$(docker compose ps -q postgres 2>/dev/null)" ]
}
if has_compose; then
  way=compose
  docker compose run --rm --no-deps -T worker backup --stdout | gzip >"$content/database.gz" ||
    fail 1 'the database could not be read, or the disk is full.'
else
  way=plain
  code=0
  "$node" "$program" backup --stdout | gzip >"$content/database.gz" || code=${PIPESTATUS[0]}
  case $code in
    0) [ -s "$content/database.gz" ] || fail 1 'the disk is full.' ;;
    2) fail 2 'the settings do not do (above).' ;;
    *) fail 1 'the database could not be read, or the disk is full.' ;;
  esac
fi
# Cut off, it would lack its last line.
gzip -dc "$content/database.gz" 2>/dev/null | tail -n 1 | grep -q '^{"end":true' ||
  fail 1 'the database could not be read to its end, or the disk is full.'

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
  # VACUUM INTO forgets that a database keeps a write-ahead log: bytes 18 and 19 of the file say 2 then.
  if [ "$(od -An -tu1 -j18 -N1 Specific/db/db.sqlite | tr -d " ")" = 2 ]; then
    printf "\002\002" | dd of="$to" bs=1 seek=18 conv=notrunc 2>/dev/null
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
  sh -c "$baikal_snapshot" sh "$BAIKAL_DATA" "$node" | tar -xpf - -C "$content/baikal" || fail 1 "Baikal's data could not be copied."
fi
backend=$(sed -n "s/^ *backend: *['\"]\{0,1\}\([a-z]*\).*/\1/p" "$content/baikal/config/baikal.yaml" 2>/dev/null || true)
if [ -n "$backend" ] && [ "$backend" != sqlite ]; then
  echo "backup.sh: Baikal keeps its events in $backend; this archive does not hold them. Back that database up as well." >&2
fi

# --- configuration, without the keys --------------------------------------------------------------------------------
mkdir "$content/configuration"
for file in calendars.yaml docker-compose.yml docker-compose.override.yml; do
  [ ! -f "$file" ] || cp -p "$file" "$content/configuration/"
done
for folder in config nginx; do
  [ ! -d "data/$folder" ] || cp -Rp "data/$folder" "$content/configuration/"
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
