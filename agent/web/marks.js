// Small pieces that all views are made of: marks of a state or result, times that tick, commits, what is empty
// and what went wrong. Colour never says it alone: each mark has a symbol of its own shape, and a word.
import { add, h } from "./dom.js";
import { clock, commitShort, duration, fullTime, ownZone, relative, secondsSince } from "./format.js";

/**
 * A symbol and its word. With `text`, that is shown, and the word is for those who do not see the symbol.
 * @param {Object<string, {symbol: string, word: string, tone: string}>} table  RESULTS, STATES or BUILDS
 */
export function mark(table, key, text = null) {
    const entry = table[key] ?? { symbol: "?", word: key, tone: "quiet" };
    return h("span", { class: `mark ${entry.tone}` },
        h("span", { class: "symbol", "aria-hidden": "true" }, entry.symbol),
        text === null ? entry.word : [h("span", { class: "unseen" }, `${entry.word}: `), text]);
}

export const badge = (table, key) => add(h("span", { class: "badge" }), mark(table, key));

/** A word in a frame: pinned. */
export const tag = (text, tone = "quiet", title = null) => h("span", { class: `tag ${tone}`, title }, text);

// --- times ---

function ticking(time, text, zone, className = "") {
    const element = h("time", { datetime: time, title: fullTime(time, zone), class: className }, text());
    element["tick"] = text;
    return element;
}

/** 7h ago, in 3m: goes on by itself, and tells the whole time when pointed at. Null is a dash. */
export function when(time, zone = null) {
    return time ? ticking(time, () => relative(time), zone) : "–";
}

/** 20s: how long it has been going on. */
export function lasting(time) {
    return time ? ticking(time, () => duration(Math.floor(secondsSince(time))), null) : "";
}

/** Wed 03:00 Europe/Berlin: the time in a service's zone; when pointed at, in the viewer's. */
export function zoned(time, zone) {
    const text = `${clock(time, zone ?? "UTC")} ${zone ?? "UTC"}`;
    return h("time", { datetime: time, title: `${fullTime(time)} here (${ownZone()})` }, text);
}

/** Lets all times of the page go on. */
export function startTicking() {
    setInterval(() => {
        if (document.hidden)
            return;
        for (const element of document.getElementsByTagName("time")) {
            const text = element["tick"]?.();
            if (text !== undefined && element.textContent !== text)
                element.textContent = text;
        }
    }, 1000);
}

// --- pieces ---

/** A table that can be pushed sideways where it is too wide. `rows`: a <tbody>, or what goes into one. */
export function table(caption, columns, ...rows) {
    return h("div", { class: "scroll" }, h("table", { class: "list" }, h("caption", { class: "unseen" }, caption),
        h("thead", null, h("tr", null, columns.map((word) => h("th", { scope: "col" }, word)))),
        rows[0]?.tagName === "TBODY" ? rows : h("tbody", null, rows)));
}

/** A term and what it is, for a <dl>. */
export const fact = (word, ...what) => [h("dt", null, word), h("dd", null, ...what)];

/** Sentences under a title; null when there are none. */
export function sentences(tone, title, texts) {
    return texts?.length ? notice(tone, h("p", { class: "strong" }, title),
        h("ul", null, texts.map((text) => h("li", null, text)))) : null;
}

export function commit(hash) {
    return hash ? h("code", { class: "commit", title: hash }, commitShort(hash)) : h("span", { class: "muted" }, "–");
}

/** What an empty place says, and what can be done. */
export const empty = (title, ...more) => h("div", { class: "empty" }, h("p", { class: "strong" }, title), ...more);

/** A line that should be seen: tone "bad", "warn" or "info". */
export function notice(tone, ...children) {
    return h("div", { class: `notice ${tone}` }, h("span", { class: "symbol", "aria-hidden": "true" },
        { bad: "✗", warn: "⚠", info: "ℹ" }[tone]), h("div", null, ...children));
}

const ADVICE = [
    [0, "Look whether the agent runs and whether you are connected; the page goes on by itself when it is back."],
    [403, "Another token may do this: sign out, and sign in with that one."],
    [404, "It may have been deleted, or be out of your token's namespaces."],
    [503, "The agent waits for something, often Kubernetes: cronwright doctor says for what."],
];

/** What went wrong and what to do about it; `again` is called by its button. */
export function problemNotice(problem, again = null) {
    const [, advice] = ADVICE.find(([status]) => status === problem.status) ?? [];
    return h("div", { role: "alert" }, notice("bad", h("p", null, problem.message),
        problem.errors?.length ? h("ul", null, ...problem.errors.map((each) =>
            h("li", null, h("code", null, each.pointer), " ", each.detail))) : null,
        problem.missing?.length ? h("ul", null, ...problem.missing.map((each) => h("li", null, each))) : null,
        advice ? h("p", { class: "muted" }, advice) : null,
        again ? h("button", { type: "button", onclick: again }, "Try again") : null));
}
