"""Validates our objects with python3-icalendar: `validate.py <folder>`. Every property read without an error, what RFC
5545 demands, a definition for each TZID, and the clocks of eight zones by the definitions that we wrote."""
import collections
import datetime
import json
import sys
import zoneinfo

import icalendar

folder = sys.argv[1]
bad = 0


def complain(file, what):
    global bad
    bad += 1
    if bad <= 20:
        print(f"{file}: {what}", file=sys.stderr)


def check(file, raw):
    for line in raw.split(b"\r\n"):
        if len(line) > 75 or b"\n" in line or b"\r" in line:
            complain(file, "has a line that is too long or ends wrongly")
    raw.decode("utf-8")
    calendar = icalendar.Calendar.from_ical(raw)
    for name in ("VERSION", "PRODID"):
        if name not in calendar:
            complain(file, f"lacks {name}")
    if "METHOD" in calendar:
        complain(file, "has a METHOD")
    defined = [str(zone["TZID"]) for zone in calendar.walk("VTIMEZONE")]
    used = set()
    uids = set()
    masters = 0
    for component in calendar.walk():
        for name, error in component.errors:
            complain(file, f"{name} cannot be read: {error}")
        for name, value in component.property_items(recursive=False):
            if hasattr(value, "params") and "TZID" in value.params:
                used.add(str(value.params["TZID"]))
    for event in calendar.walk("VEVENT"):
        counts = collections.Counter(name for name, _ in event.property_items(recursive=False))
        for name in ("UID", "DTSTAMP", "DTSTART"):
            if counts[name] != 1:
                complain(file, f"has {counts[name]} {name}")
        for name in ("DTEND", "SUMMARY", "DESCRIPTION", "LOCATION", "STATUS", "TRANSP", "CLASS", "SEQUENCE", "URL", "RRULE"):
            if counts[name] > 1:
                complain(file, f"has {counts[name]} {name}")
        start, end = event["DTSTART"].dt, event["DTEND"].dt if "DTEND" in event else None
        if end is not None and isinstance(start, datetime.datetime) != isinstance(end, datetime.datetime):
            complain(file, "has DTSTART and DTEND of different kinds")
        uids.add(str(event["UID"]))
        masters += "RECURRENCE-ID" not in event
    if len(uids) != 1 or masters != 1:
        complain(file, f"has {len(uids)} UIDs and {masters} masters")
    if sorted(defined) != sorted(used):
        complain(file, f"defines {sorted(defined)} and uses {sorted(used)}")
    return calendar


files = json.load(open(f"{folder}/manifest.json", encoding="utf-8"))
for one in files:
    try:
        check(one["file"], open(f"{folder}/{one['file']}", "rb").read())
    except Exception as error:  # whatever the library makes of it, the file is at fault
        complain(one["file"], repr(error))

for name, clocks in json.load(open(f"{folder}/zones.json", encoding="utf-8"))["clocks"].items():
    file = f"zone-{name.replace('/', '-')}-0.ics"
    calendar = icalendar.Calendar.from_ical(open(f"{folder}/{file}", "rb").read())
    definition = calendar.walk("VTIMEZONE")[0]
    for observance in definition.subcomponents:
        # The library hands UNTIL on to dateutil, which wants it in local time there.
        for index, until in enumerate(observance.get("RRULE", {}).get("UNTIL", [])):
            observance["RRULE"]["UNTIL"][index] = (until + observance["TZOFFSETFROM"].td).replace(tzinfo=None)
    ours = definition.to_tz()
    theirs = zoneinfo.ZoneInfo(name)
    for at, offset in clocks:
        instant = datetime.datetime.fromtimestamp(at, datetime.timezone.utc)
        read = int(instant.astimezone(ours).utcoffset().total_seconds())
        true = int(instant.astimezone(theirs).utcoffset().total_seconds())
        if not read == true == offset:
            complain(name, f"{instant.isoformat()}: {read} by our definition, {true} by the tz database, {offset} by us")
            break

print(f"icalendar {icalendar.__version__}: {len(files)} files, {bad} faults")
sys.exit(1 if bad else 0)
