#!/usr/bin/env bash
# Puts a backup of backup.sh back: into an empty installation, or with --replace over what is there. calendar-sync must
# be stopped, and is not started. Ends with
#   0 done   1 failed   2 wrong settings, or something is in the way; nothing was changed
# "calendar-sync restore ARCHIVE" is the same. Afterwards nothing is written to a target before "restore approve".
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

here=$(cd "$(dirname "$0")" && pwd)
home=${CALENDAR_SYNC_HOME:-$here}
cd "$home"
# The program beside this script, from source or built, on the Node that came with it.
node=${CALENDAR_SYNC_NODE:-$here/node_modules/.bin/node}
[ -x "$node" ] || node=$(command -v node || true)
program=${CALENDAR_SYNC_PROGRAM:-$here/src/main.ts}
[ -f "$program" ] || program=$here/dist/main.js
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
  product=(docker compose run --rm --no-deps -T worker)
else
  way=plain
  product=("$node" "$program")
fi
has_database=no
if [ "$only" != baikal ]; then
  has_database=yes
  [ -f "$content/database.gz" ] || fail 2 'the archive was made by another version, or holds no database.'
  gzip -dc "$content/database.gz" 2>/dev/null | tail -n 1 | grep -q '^{"end":true' || fail 2 "$archive is damaged; take another one."
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

# --- the database, in one transaction -------------------------------------------------------------------------------
# First: when it is refused, nothing has been changed.
if [ "$has_database" = yes ]; then
  load=(restore load --name "$(basename "$archive" | tr -cd 'A-Za-z0-9._-')")
  [ "$replace" = no ] || load+=(--replace)
  code=0
  gzip -dc "$content/database.gz" | "${product[@]}" "${load[@]}" || code=${PIPESTATUS[1]}
  case $code in
    0) ;;
    2) fail 2 'nothing was changed.' ;;
    *) fail 1 'the database could not be restored; it is as it was before.' ;;
  esac
fi

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
# Programs that have seen a later state than this one must not take what changes from now on for what they know.
bump="UPDATE calendars SET synctoken = synctoken + 1000000"
if [ -f Specific/db/db.sqlite ]; then
  if command -v sqlite3 >/dev/null; then
    sqlite3 Specific/db/db.sqlite "$bump" || true
  elif php -m 2>/dev/null | grep -qx pdo_sqlite; then
    php -r "(new PDO(\"sqlite:Specific/db/db.sqlite\"))->exec(\$argv[1]);" "$bump" || true
  elif [ -n "$3" ]; then
    "$3" --disable-warning=ExperimentalWarning -e "
      new (require(\"node:sqlite\").DatabaseSync)(process.argv[1]).exec(process.argv[2]);" Specific/db/db.sqlite "$bump" || true
  fi
fi 2>/dev/null
for name in config Specific; do chown -R "$(stat -c %u:%g "$name")" "$name"; done
'
  if [ "$way" = compose ]; then
    docker compose stop baikal >/dev/null 2>&1
    tar -C "$content/baikal" -cf - config Specific |
      docker compose run --rm --no-deps -T --entrypoint sh baikal -c "$put_baikal" sh /var/www/baikal "$aside" '' ||
      fail 1 "Baikal's data could not be written."
    docker compose start baikal >/dev/null 2>&1 || fail 1 'Baikal does not start.'
  else
    mkdir -p "$BAIKAL_DATA"
    tar -C "$content/baikal" -cf - config Specific | sh -c "$put_baikal" sh "$BAIKAL_DATA" "$aside" "$node" ||
      fail 1 "Baikal's data could not be written."
  fi
  echo "Baikal's data is back; what was there before is in config/.$aside and Specific/.$aside."
fi
if [ "$has_baikal" = yes ]; then
  # Baikal went back in time: what we remember of it is no longer so.
  "${product[@]}" restore mark target >/dev/null ||
    fail 1 'the database could not be told: run "calendar-sync restore mark target" before you start.'
fi

cat <<'TEXT'
Every source is read from its start and every entry compared; nothing is written before you have seen it:
  calendar-sync restore status     tells when both sides are read
  calendar-sync plan               shows what would be written and deleted
  calendar-sync restore approve    lets it be written
The archive's folder configuration is for you to compare. Put ENCRYPTION_KEY in its place, then start.
TEXT
