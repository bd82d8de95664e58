<?php
/**
 * Validates our objects with sabre/vobject: `php validate.php <autoload.php> <folder>`. Level 2 and 3 findings of
 * validate() (as a CalDAV server asks it), expansion over the window, and the server's own time-range test.
 */
error_reporting(E_ALL & ~E_DEPRECATED);
[, $autoload, $folder] = $argv;
require $autoload;
use Sabre\VObject\{Component, Node, Reader, TimeZoneUtil};

$bad = 0;
$complain = function (string $file, string $what) use (&$bad): void {
    if (++$bad <= 20) fwrite(STDERR, "$file: $what\n");
};
$utc = new DateTimeZone('UTC');
['clocks' => $clocks, 'used' => $used] = json_decode(file_get_contents("$folder/zones.json"), true, 512, JSON_THROW_ON_ERROR);
/** The first instant at which PHP's clock of a zone, as sabre finds it for a calendar, differs from ours; null: none. */
$differs = function (string $name, array $clock, ?Component $calendar = null): ?string {
    $zone = TimeZoneUtil::getTimeZone($name, $calendar);
    foreach ($clock as [$at, $offset]) {
        $theirs = $zone->getOffset(new DateTimeImmutable("@$at"));
        if ($theirs !== $offset) return gmdate('c', $at) . " is $theirs, not $offset";
    }
    return null;
};
// Databases of different ages: not to be compared.
$older = [];
$skipped = 0;
$files = json_decode(file_get_contents("$folder/manifest.json"), true, 512, JSON_THROW_ON_ERROR);
foreach ($files as $one) {
    $file = $one['file'];
    try {
        $text = file_get_contents("$folder/$file");
        $calendar = Reader::read($text);
        foreach ($calendar->validate(Node::PROFILE_CALDAV) as $finding) {
            if ($finding['level'] >= 2) $complain($file, $finding['message']);
        }
        // sabre takes no notice of BYMONTH in monthly rules (4.6): its day 29 shows on 29 February as well.
        $isBeyond = $one['isDoubled'] || str_contains($text, 'RRULE:FREQ=MONTHLY;BYMONTH=');
        foreach ($calendar->select('VTIMEZONE') as $definition) {
            $name = (string) $definition->TZID;
            $older[$name] ??= $differs($name, $used[$name], $calendar) !== null;
            $isBeyond = $isBeyond || $older[$name];
        }
        $from = new DateTimeImmutable($one['from']);
        $to = new DateTimeImmutable($one['to']);
        $starts = [];
        if (!$one['mayHaveNone']) {
            $inRange = false;
            foreach ($calendar->select('VEVENT') as $event) $inRange = $inRange || $event->isInTimeRange($from, $to);
            if (!$inRange) $complain($file, 'is not in its time range');
        }
        foreach ($calendar->expand($from, $to)->select('VEVENT') as $event) {
            $property = $event->DTSTART;
            $at = $property->getDateTime($utc);
            $start = $property->hasTime()
                ? $at->setTimezone($utc)->format('Y-m-d\TH:i:s') . ($property->isFloating() ? '' : 'Z')
                : $at->format('Y-m-d');
            $length = strlen($start);
            if ($start >= substr($one['from'], 0, $length) && $start < substr($one['to'], 0, $length)) $starts[] = $start;
        }
        sort($starts);
        // sabre writes floating times of an expansion in UTC.
        $bare = fn (string $start): string => rtrim($start, 'Z');
        if ($isBeyond) $skipped++;
        elseif (array_map($bare, $starts) !== array_map($bare, $one['starts'])) {
            $complain($file, 'expands to ' . json_encode(array_slice($starts, 0, 8)) . ', not ' . json_encode(array_slice($one['starts'], 0, 8)));
        }
    } catch (Throwable $thrown) {
        $complain($file, get_class($thrown) . ': ' . $thrown->getMessage());
    }
}
foreach ($clocks as $name => $clock) {
    $difference = $differs($name, $clock);
    if ($difference !== null) $complain($name, $difference);
}
printf("sabre/vobject %s: %d files, %d faults", Sabre\VObject\Version::VERSION, count($files), $bad);
printf(" (%d validated but not compared; zones that sabre reads otherwise: %s)\n", $skipped, implode(', ', array_keys(array_filter($older))) ?: 'none');
exit($bad === 0 ? 0 : 1);
