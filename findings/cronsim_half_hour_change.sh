#!/bin/sh
# cronsim 2.8, which follows Debian's cron when clocks change, loses times where a zone is set back by half an hour:
# `*/15 2 * * *` in Australia/Lord_Howe on 4 April 2027 (at 2:00 clocks go back to 1:30) yields 2:30 and 2:45 alone if the
# walk begins before the change, but 2:15, 2:30 and 2:45 if it begins at 2:00: which times come depends on where one
# looks from. On the days around it are all four. Fails if that changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check cronsim==2.8 tzdata==2026.1
"$folder/venv/bin/python" - <<'PY'
from datetime import datetime
from itertools import takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

island = ZoneInfo("Australia/Lord_Howe")


def times(begin, day):
    found = takewhile(lambda at: at.day <= day, CronSim("*/15 2 * * *", begin))
    return [f"{at:%H:%M}" for at in found if at.day == day]


walked = times(datetime(2027, 4, 3, 12, 0, tzinfo=island), 4)
looked = times(datetime(2027, 4, 4, 2, 0, tzinfo=island), 4)
after = times(datetime(2027, 4, 4, 12, 0, tzinfo=island), 5)
print("from the day before:", walked)
print("from 2:00 on:", looked)
print("a day later:", after)
assert walked == ["02:30", "02:45"]
assert looked == ["02:15", "02:30", "02:45"]
assert after == ["02:00", "02:15", "02:30", "02:45"]
PY
