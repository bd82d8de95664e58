<?php
/**
 * Sets a fresh Baikal up without its web installer: configuration, database, and one user "me" with the password in
 * SECRETS/baikal_password. php provision.php BAIKAL SECRETS
 *
 * A Baikal that has a configuration is left as it is. BAIKAL_AUTH_TYPE may be Basic or Digest. A run that was cut off is
 * made good by the next: the configuration comes last.
 */
declare(strict_types=1);

[, $root, $secrets] = $argv + [2 => '/run/secrets'];
// The installation of the image, unless an installation keeps them elsewhere (as Baikal itself reads them).
$config = rtrim(getenv('BAIKAL_PATH_CONFIG') ?: "$root/config", '/');
$specific = rtrim(getenv('BAIKAL_PATH_SPECIFIC') ?: "$root/Specific", '/');
if (is_file("$config/baikal.yaml")) {
    exit(0);
}
$authType = getenv('BAIKAL_AUTH_TYPE') ?: 'Basic';
if (!in_array($authType, ['Basic', 'Digest'], true)) {
    fwrite(STDERR, "BAIKAL_AUTH_TYPE is \"$authType\"; use Basic or Digest.\n");
    exit(1);
}

function secret(string $file): string
{
    $text = is_readable($file) ? trim((string) file_get_contents($file)) : '';
    if ($text === '') {
        fwrite(STDERR, "$file holds no password.\n");
        exit(1);
    }
    return $text;
}
$password = secret("$secrets/baikal_password");
$adminPassword = secret("$secrets/admin_password");

if (!preg_match("/define\(.BAIKAL_VERSION.,\s*.([0-9.]+)/", (string) file_get_contents("$root/Core/Distrib.php"), $found)) {
    fwrite(STDERR, "$root/Core/Distrib.php names no version of Baikal.\n");
    exit(1);
}
$version = $found[1];
$realm = 'BaikalDAV';
$user = 'me';

if (!is_dir("$specific/db")) {
    mkdir("$specific/db", 0750, true);
}
$file = "$specific/db/db.sqlite";
if (!is_file($file)) {
    $draft = "$file.new";
    @unlink($draft);
    $db = new PDO("sqlite:$draft");
    $db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
    $db->exec((string) file_get_contents("$root/Core/Resources/Db/SQLite/db.sql"));
    // Baikal's own schema scans all events of all users for each new one, and lets two requests at once make one name twice.
    $db->exec('CREATE UNIQUE INDEX calendarobjects_by_name ON calendarobjects (calendarid, uri)');
    $db->prepare('INSERT INTO users (username, digesta1) VALUES (?, ?)')
        ->execute([$user, md5("$user:$realm:$password")]);
    // No mailbox of anybody: an address that takes part in a meeting would make Baikal answer invitations.
    $db->prepare('INSERT INTO principals (uri, email, displayname) VALUES (?, ?, ?)')
        ->execute(["principals/$user", "$user@baikal.invalid", 'Me']);
    $db->prepare('INSERT INTO addressbooks (principaluri, displayname, uri, description) VALUES (?, ?, ?, ?)')
        ->execute(["principals/$user", 'Contacts', 'default', '']);
    $db = null;
    // Readers do not wait for the writer, and a write takes fewer flushes. The file remembers it.
    $db = new PDO("sqlite:$draft");
    $db->exec('PRAGMA journal_mode = WAL');
    $db = null;
    rename($draft, $file);
}

$encryptionKey = bin2hex(random_bytes(16));
// As Baikal's installer hashes it.
$adminHash = hash('sha256', "admin:$realm:$adminPassword");
$yaml = <<<YAML
system:
    configured_version: '$version'
    timezone: UTC
    card_enabled: true
    cal_enabled: true
    # Empty: Baikal sends no mail.
    invite_from: ''
    dav_auth_type: $authType
    admin_passwordhash: $adminHash
    failed_access_message: 'user %u authentication failure for Baikal'
    auth_realm: $realm
    base_uri: ''
database:
    encryption_key: $encryptionKey
    backend: sqlite
    sqlite_file: $file

YAML;
if (!is_dir($config)) {
    mkdir($config, 0750, true);
}
file_put_contents("$config/baikal.yaml.new", $yaml);
rename("$config/baikal.yaml.new", "$config/baikal.yaml");
echo "Baikal $version is set up for the user \"$user\" ($authType).\n";
