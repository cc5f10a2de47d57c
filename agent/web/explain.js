// What a schedule means, while it is typed: in words, its next times, and what may surprise. The agent says it.
import { get, path } from "./api.js";
import { fill, h } from "./dom.js";
import { fullTime } from "./format.js";
import { notice, when } from "./marks.js";

const TYPING_MS = 250;

/** Where in the expression it is wrong, underlined. */
function fault(expression, error) {
    const { detail, offset, length } = error;
    if (offset === undefined)
        return h("p", { class: "bad" }, detail);
    return h("div", null, h("code", null, expression.slice(0, offset),
        h("mark", { class: "fault" }, expression.slice(offset, offset + Math.max(1, length ?? 1)) || " "),
        expression.slice(offset + Math.max(1, length ?? 1))), h("p", { class: "bad" }, detail));
}

function times({ times: all, sentence, warnings, timeZone }) {
    return [h("p", { class: "strong" }, sentence, ", ", timeZone ?? "UTC"),
        all.length ? h("ol", { class: "times" }, all.map(({ utc, zone }) =>
            h("li", null, h("time", { datetime: utc, title: fullTime(utc) },
                `${fullTime(utc, timeZone ?? "UTC").replace(/,? [^ ]*$/, "")} ${zone}`), " ",
            h("span", { class: "muted" }, when(utc, timeZone)))))
        : h("p", { class: "muted" }, "It never comes."),
    warnings.map((text) => notice("warn", h("p", null, text)))];
}

/** An element that explains what it is told by `show(expression, zone)`. */
export class Explanation {
    constructor(count = 5) {
        this.count = count;
        this.element = h("div", { class: "explanation", role: "status" });
    }

    show(expression, zone) {
        const about = JSON.stringify([expression, zone]);
        if (about === this.about)
            return;
        this.about = about;
        clearTimeout(this.timer);
        this.asked?.abort();
        if (!expression)
            return fill(this.element);
        this.timer = setTimeout(() => this.ask(expression, zone), TYPING_MS);
    }

    async ask(expression, zone) {
        this.asked?.abort();
        const { signal } = this.asked = new AbortController();
        try {
            const query = { expression, timeZone: zone || null, count: this.count };
            fill(this.element, times(await get(path("schedule"), query, signal)));
        } catch (problem) {
            if (problem.name === "AbortError")
                return;
            const errors = problem.errors?.length ? problem.errors : [{ detail: problem.message }];
            fill(this.element, errors.map((error) =>
                fault(error.pointer === "/timeZone" ? zone ?? "" : expression, error)));
        }
    }

    close() {
        clearTimeout(this.timer);
        this.asked?.abort();
    }
}
