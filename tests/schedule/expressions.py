"""Cron expressions as people, their editors and their cats write them: the nasty ones by hand, and as
many random ones as wanted, right and wrong, the same for the same seed."""

import random

NASTY = [
    # what the grammar takes although it looks wrong
    "* * * * *", "? ? ? ? ?", "*/61 * * * *", "*/60 * * * *", "5/20 * * * *", "59/1 * * * *", "0 0 31 2 *",
    "0 0 30 2 1", ", * * * *", "* , * * *", "* * , * *", "* * * , *", "* * * * ,", "0 0 , * 1", "0 0 1 * ,",
    ",5,,6, * * * *", "*-5 * * * *", "*-x-y/2 * * * *", "?-/3 * * * *", "+5 * * * *", "*/+5 * * * *",
    "007 * * * *", "0 0 * jan-MAR Sun-wEd", "0 0 * feb-4 mon-5", "0 0 * * fr\u0130", "0 0 * * FR\u0130-6",
    "*/9223372036854775807 * * * *", "0\t0 * * *", "  0 0 * * *  ", "0\u00a00\u2003* * *\u3000",
    "0 0 13 * 5", "0 0 */2 * 1", "0 0 * * 1", "0 0 1-31 * 1", "0 0 */1 * 1", "0 0 * * 0-6/2", "0 0 ? * 1/2",
    "0 0 29 2 *", "0 0 29 2 0", "0-0 0-0 1-1 1-1 0-0", "30 2 * * *", "0 0 * * *", "0 1 * * *", "59 23 * * *",
    "*/30 0-3 * * *", "45 1,2 * * *", "0 3 * * *", "15 0 1 * *", "0 5 3 11 *", "0 12 1 10 *",
    "@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly",
    "@every 1h", "@every 90m", "@every 1h30m15s", "@every 1.5h", "@every .5h", "@every 0", "@every -5m",
    "@every +5m", "@every 1ns", "@every 999ms", "@every 1.9s", "@every 1us", "@every 1\u00b5s",
    "@every 1\u03bcs", "@every 100h0.0000000000000000000001s", "@every 2540400h", "@every 0.33333333333333333333h",
    "@every 9223372036854775808ns9223372036854775808ns",
    # what it does not
    "* * * *", "* * * * * *", "0 3 * * 7", "0 3 * * 0-7", "60 * * * *", "0 24 * * *", "0 0 0 * *", "0 0 32 * *",
    "0 0 * 0 *", "0 0 * 13 *", "*/0 * * * *", "5/0 * * * *", "50-10 * * * *", "0 22-2 * * *", "0 0 * dec-jan *",
    "-5 * * * *", "5- * * * *", "5-6-7 * * * *", "*/2/3 * * * *", "*/ * * * *", "/5 * * * *", "- * * * *",
    "*/-5 * * * *", "*/-0 * * * *", "** * * * *", "*5 * * * *", "1.5 * * * *", "0x5 * * * *", "1_0 * * * *",
    "1e1 * * * *", "jan * * * *", "0 0 mon * *", "0 0 * monday *", "0 0 * * monday", "0 0 L * *", "0 0 15W * *",
    "0 0 * * 5L", "0 0 * * 5#2", "0 0 * * mon#1", "\u0665 * * * *", "99999999999999999999 * * * *",
    "*/9223372036854775808 * * * *", "@reboot", "@Daily", "@daily ", " @daily", "@dayly", "@", "@every", "@every ",
    "@every  5m", "@every 5", "@every 5m ", "@every 5 m", "@every 5d", "@every m", "@every .s", "@every -",
    "@every 1h-5m", "@every 9223372036854775808ns", "@every 9223372036854775807ns1ns", "@every 2562048h",
    "@every 92233720368547758080ns", "@every 1S", "@every 1h 5m",
    "TZ=UTC * * * * *", "CRON_TZ=Europe/Berlin 0 3 * * *", "TZ=UTC @daily", "*-TZ * * * *", "tz=UTC * * * * *",
    "0 0 * * * root", "0 0 * * \"1\"", "'0 0 * * *'", "every day", "0,,, 0 * * *;", "0;0 * * *",
]

FIELDS = [(0, 59, []), (0, 23, []), (1, 31, []),
          (1, 12, "jan feb mar apr may jun jul aug sep oct nov dec".split()),
          (0, 6, "sun mon tue wed thu fri sat".split())]
WRONG_ITEMS = ["", "*-", "-", "/", "*/0", "*/", "L", "5-2-1", "1/2/3", "x", "-1", "60", "24", "32", "13", "7", "0",
               "99", "1.5", "mon", "jan", "sunday", "**", "\u0661", "*/99999999999999999999", "#"]


class Expressions:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def value(self, field):
        least, most, names = field
        value = self.random.randint(least, most)
        if names and self.random.random() < 0.4:
            name = names[value - least]
            return self.random.choice([name, name.upper(), name.capitalize()])
        return self.random.choice([str(value)] * 12 + [f"{value:02d}", f"+{value}"])

    def item(self, field):
        least, most, _ = field
        chance = self.random.random()
        if chance < 0.03:
            return self.random.choice(WRONG_ITEMS)
        step = f"/{self.random.choice([1, 2, 3, 5, 7, 10, 15, 20, 30, most, most + 1, self.random.randint(1, 99)])}"
        if chance < 0.35:
            return self.random.choice("***?") + self.random.choice(["", "", step])
        if chance < 0.7:
            return self.value(field) + self.random.choice([""] * 5 + [step])
        if chance < 0.72:
            return f"{self.value(field)}-{self.value(field)}{step}"
        ends = sorted(self.random.randint(least, most) for _ in range(2))
        return f"{ends[0]}-{ends[1]}" + self.random.choice(["", "", step])

    def field(self, field):
        if self.random.random() < 0.3:
            return "*"
        items = [self.item(field) for _ in range(self.random.choice([1, 1, 1, 2, 3]))]
        if self.random.random() < 0.02:
            items.insert(self.random.randint(0, len(items)), "")
        return ",".join(items)

    def every(self):
        number = self.random.choice([str(self.random.randint(0, 200)), f"{self.random.random() * 9:.3f}"])
        parts = [number + self.random.choice(["s", "m", "h", "ms", "us", "ns", "h", "m"])
                 for _ in range(self.random.choice([1, 1, 2, 3]))]
        return "@every " + "".join(parts)

    def expression(self):
        chance = self.random.random()
        if chance < 0.02:
            return self.every()
        if chance < 0.03:
            return self.random.choice([text for text in NASTY if text.startswith("@")])
        fields = [self.field(field) for field in FIELDS]
        if chance < 0.05:
            fields.pop()
        elif chance < 0.06:
            fields.append("*")
        blank = self.random.choice([" "] * 20 + ["  ", "\t", "\u00a0"])
        return self.random.choice([""] * 20 + [" "]) + blank.join(fields) + self.random.choice([""] * 20 + [" "])

    def many(self, count):
        """Those that a file can hold, one a line."""
        made = []
        while len(made) < count:
            text = self.expression()
            if text.strip(" \t") and not text.lstrip(" \t").startswith("#"):
                made.append(text)
        return made
