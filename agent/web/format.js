// Words and times: what the API says, for people. Pure, but for the agent's clock. Times are shown in the
// viewer's zone unless a service's own is asked for. Knows nothing of elements.

const MINUTE = 60, HOUR = 3600, DAY = 86400;

/** How a run ended or is. The symbols differ in shape, the tones in colour; each has its word. */
export const RESULTS = {
    succeeded: { symbol: "✔", word: "succeeded", tone: "good" },
    failed: { symbol: "✗", word: "failed", tone: "bad" },
    running: { symbol: "●", word: "running", tone: "busy" },
    pending: { symbol: "◎", word: "waiting", tone: "busy" },
    missed: { symbol: "–", word: "did not run", tone: "quiet" },
    unknown: { symbol: "?", word: "outcome unknown", tone: "warn" },
};

/** What a service is. */
export const STATES = {
    started: { symbol: "▶", word: "started", tone: "good" },
    starting: { symbol: "◌", word: "starting", tone: "busy" },
    stopped: { symbol: "■", word: "stopped", tone: "quiet" },
    draft: { symbol: "✎", word: "draft", tone: "quiet" },
};

/** What a build is. */
export const BUILDS = {
    waiting: { symbol: "◎", word: "waiting", tone: "busy" },
    fetching: { symbol: "●", word: "fetching", tone: "busy" },
    running: { symbol: "●", word: "building", tone: "busy" },
    pushed: { symbol: "●", word: "pushed, to be patched", tone: "busy" },
    done: { symbol: "✔", word: "done", tone: "good" },
    failed: { symbol: "✗", word: "failed", tone: "bad" },
    superseded: { symbol: "–", word: "superseded", tone: "quiet" },
};

/** b-51 → 51: the newer of two has the greater one. */
export const numberOf = (build) => Number(build.build.slice(2));

/** A run that has not ended. */
export const goesOn = (run) => run.state === "pending" || run.state === "running";

export const buildIsOver = (build) => BUILDS[build.state]?.tone !== "busy";

/** The reason of a build's state and what there is to say of it, if anything. */
export const why = (build) => [build.reason, build.detail].filter(Boolean).join(": ");

/** What a role may: all that those before it may, too. */
export const ROLES = ["viewer", "runner", "admin"];

/** The word that a row's state is shown by. */
export function stateOf(row) {
    return row.starting ? "starting" : row.state;
}

// --- text ---

// Controls, and what has no width or turns the direction of the text around it. Tab and newline stay.
const UNSEEN = new RegExp(
    "[\\0-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u00ad\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e\\u200b-\\u200f" +
    "\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ufeff\\uffa0\\ufff9-\\ufffb\\u{e0000}-\\u{e0fff}]", "gu");

/** Text in which nothing hides: U+202E for a mark that would turn what follows. @param {string} text */
export function visible(text) {
    return text.replace(UNSEEN, (unseen) => {
        const code = /** @type {number} */ (unseen.codePointAt(0));
        return code < 0x20 ? String.fromCodePoint(0x2400 + code)
            : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    });
}

export const commitShort = (commit) => commit ? commit.slice(0, 7) : "–";

/** github.com/acme/report of a repository's URL. */
export const repositoryShort = (url) => url ? url.replace(/^[a-z+]+:\/\/([^@/]*@)?/i, "").replace(/\.git$/, "") : "";

/** report:1.4 of registry.example/acme/report:1.4, and the first digits of a digest. */
export function imageShort(image) {
    const [name, digest] = (image ?? "").split("@sha256:");
    const last = name.slice(name.lastIndexOf("/") + 1);
    return digest ? `${last}@${digest.slice(0, 12)}` : last;
}

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** What was done, and what the agent has to say about it. @param {string} text @param {string[]} [warnings] */
export const withWarnings = (text, warnings) => [text, ...(warnings ?? [])].join(" ");

/** NAME=value on each line, as an object. @param {string} text */
export function pairs(text) {
    const lines = text.split("\n").map((line) => line.trim()).filter(Boolean);
    const wrong = lines.find((line) => line.indexOf("=") < 1);
    if (wrong)
        throw new Error(`"${wrong}" is no NAME=value.`);
    return Object.fromEntries(lines.map((line) => [line.split("=", 1)[0], line.slice(line.indexOf("=") + 1)]));
}

/** 1.4 MB. @param {number} bytes */
export function size(bytes) {
    const units = ["B", "kB", "MB", "GB", "TB"];
    let unit = 0;
    for (; bytes >= 1000 && unit < units.length - 1; unit++)
        bytes /= 1000;
    return `${bytes < 10 && unit ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

// --- times ---

let ahead = 0; // milliseconds that the agent's clock is before the viewer's

/** Takes the agent's time. @param {string|null} time */
export function setClock(time) {
    const theirs = Date.parse(time ?? "");
    // A response's header has whole seconds: a smaller difference says nothing.
    if (!Number.isNaN(theirs))
        ahead = Math.abs(theirs - Date.now()) < 2000 ? 0 : theirs - Date.now();
}

/** Milliseconds since 1970 by the agent's clock. */
export const now = () => Date.now() + ahead;

/** Seconds since `time`; below nought before it. @param {string} time */
export const secondsSince = (time) => (now() - Date.parse(time)) / 1000;

/** 4m12s, 38s, 2h, 3d. @param {number|null|undefined} seconds */
export function duration(seconds) {
    if (seconds === null || seconds === undefined)
        return "–";
    const all = Math.max(0, seconds < 10 && seconds % 1 ? seconds : Math.round(seconds));
    if (all < 10 && all % 1)
        return `${all.toFixed(1)}s`;
    /** @type {[string, number][]} */
    const parts = [["d", Math.floor(all / DAY)], ["h", Math.floor(all % DAY / HOUR)],
        ["m", Math.floor(all % HOUR / MINUTE)], ["s", all % MINUTE]];
    const first = parts.findIndex(([, count]) => count > 0);
    if (first < 0)
        return "0s";
    return parts.slice(first, first + 2).filter(([, count], at) => at === 0 || count > 0)
        .map(([unit, count], at) => (at ? String(count).padStart(2, "0") : count) + unit).join("");
}

// One unit is enough for what is long ago; seconds only near.
function distance(seconds) {
    if (seconds < MINUTE)
        return `${Math.floor(seconds)}s`;
    if (seconds < HOUR)
        return `${Math.floor(seconds / MINUTE)}m`;
    return seconds < 2 * DAY ? `${Math.floor(seconds / HOUR)}h` : `${Math.floor(seconds / DAY)}d`;
}

/** 7h ago, in 3m; in the last two minutes before it, in seconds. @param {string} time */
export function relative(time) {
    const since = secondsSince(time);
    if (since >= 0)
        return since < 1 ? "now" : `${distance(since)} ago`;
    if (-since < 1)
        return "now";
    return `in ${-since < 2 * MINUTE ? duration(Math.ceil(-since)) : distance(-since)}`;
}

const formats = new Map();

function parts(time, zone, options) {
    const key = JSON.stringify([zone, options]);
    try {
        if (!formats.has(key))
            formats.set(key, new Intl.DateTimeFormat("en-GB", { timeZone: zone ?? undefined, hourCycle: "h23",
                ...options }));
        return formats.get(key).format(new Date(time));
    } catch { // a zone that this browser does not know
        return `${new Date(time).toISOString().slice(0, 16).replace("T", " ")} UTC`;
    }
}

/** The viewer's zone, by its name. */
export const ownZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

/** Wed 03:00, or with the date when it is more than six days away. @param {string} time @param {string?} [zone] */
export function clock(time, zone) {
    const near = Math.abs(secondsSince(time)) < 6 * DAY;
    return parts(time, zone, near ? { weekday: "short", hour: "2-digit", minute: "2-digit" }
        : { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit",
            ...(Math.abs(secondsSince(time)) > 300 * DAY ? { year: "numeric" } : {}) }).replace(",", "");
}

/** All of it: Wed 25 Nov 2026, 03:00:00 CET. @param {string} time @param {string?} [zone] */
export function fullTime(time, zone) {
    return parts(time, zone, { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit",
        minute: "2-digit", second: "2-digit", timeZoneName: "short" });
}
