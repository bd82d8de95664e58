<?php
/**
 * Gives the user "me" of a Baikal on SQLite the password in SECRETS/baikal_password, after a restore or when nobody knows
 * the former one: docker compose exec -T baikal php <baikal/reset-password.php
 */
declare(strict_types=1);

[, $root, $secrets] = $argv + [1 => '/var/www/baikal', 2 => '/run/secrets'];
$specific = rtrim(getenv('BAIKAL_PATH_SPECIFIC') ?: "$root/Specific", '/');
$config = rtrim(getenv('BAIKAL_PATH_CONFIG') ?: "$root/config", '/');
$password = trim((string) @file_get_contents("$secrets/baikal_password"));
$settings = (string) @file_get_contents("$config/baikal.yaml");
if ($password === '' || !is_file("$specific/db/db.sqlite")) {
    fwrite(STDERR, "There is no password in $secrets/baikal_password, or no database in $specific/db/db.sqlite.\n");
    exit(1);
}
$realm = preg_match('/^\s*auth_realm:\s*[\'"]?([^\'"\n]+?)[\'"]?\s*$/m', $settings, $found) ? $found[1] : 'BaikalDAV';
$db = new PDO("sqlite:$specific/db/db.sqlite");
$db->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
$db->setAttribute(PDO::ATTR_TIMEOUT, 20);
$change = $db->prepare('UPDATE users SET digesta1 = ? WHERE username = ?');
$change->execute([md5("me:$realm:$password"), 'me']);
if ($change->rowCount() !== 1) {
    fwrite(STDERR, "Baikal has no user \"me\".\n");
    exit(1);
}
echo "The password of \"me\" is the one in baikal_password now.\n";
