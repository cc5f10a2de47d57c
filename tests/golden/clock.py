"""Times in transcripts. The program reads the real clock, so scripted answers have times relative to
now, and a zone is made in which it is 10:12 now. What is then left to change is the date: transcripts
pretend that it is Tuesday, 24 November 2026."""

import collections
import datetime
import re
import zoneinfo

UTC = datetime.timezone.utc
PRETENDED = datetime.datetime(2026, 11, 24, 10, 12, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Clock:
    def __init__(self):
        self.now = datetime.datetime.now(UTC).replace(microsecond=0)
        seconds = 10 * 3600 + 12 * 60 - (self.now.hour * 3600 + self.now.minute * 60 + self.now.second)
        self.zone = datetime.timezone(datetime.timedelta(seconds=seconds))
        sign = "-" if seconds >= 0 else "+"  # POSIX counts westwards
        seconds = abs(seconds)
        self.tz = f"CET{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
        self.told = collections.defaultdict(list)  # text → what it pretends to be: of another year, days have one text

    def tell(self, real, pretended):
        if pretended not in self.told[real]:
            self.told[real].append(pretended)

    def ago(self, text, sign=1):
        """The RFC 3339 time that was "7h30m" ago."""
        seconds = sum(int(n) * UNITS[unit] for n, unit in re.findall(r"(\d+)([smhd])", text))
        delta = datetime.timedelta(seconds=sign * seconds)
        real, pretended = self.now - delta, PRETENDED - delta
        stamp = real.strftime("%Y-%m-%dT%H:%M:%SZ")
        self.tell(stamp, pretended.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        self.tell(self.wall(real.astimezone(self.zone)), pretended.strftime("%d %b %H:%M"))
        return stamp

    def ahead(self, text, zone="UTC"):
        """The RFC 3339 time in "7h30m", which is told as a weekday and time in that zone."""
        stamp = self.ago(text, -1)
        place = zoneinfo.ZoneInfo(zone)
        real = datetime.datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        pretended = PRETENDED + (real - self.now)
        self.tell(real.astimezone(place).strftime(f"%a %H:%M {zone}"),
                  pretended.astimezone(place).strftime(f"%a %H:%M {zone}"))
        return stamp

    def wall(self, at):
        same_year = at.year == self.now.astimezone(self.zone).year
        return at.strftime("%d %b %H:%M" if same_year else "%d %b  %Y")

    def pretend(self, text):
        """In one pass: what one time pretends to be may be another one's real text."""
        if not self.told:
            return text
        seen = collections.Counter()

        def pretended(found):
            texts = self.told[found.group()]
            seen[found.group()] += 1
            return texts[min(seen[found.group()], len(texts)) - 1]

        return re.sub("|".join(map(re.escape, self.told)), pretended, text)
