// A service's runs, those that were due and did not happen too, and how long they took.
import { address, get, servicePath } from "./api.js";
import { durations } from "./durations.js";
import { fill, h, keyed } from "./dom.js";
import { RESULTS, duration } from "./format.js";
import { commit, empty, lasting, mark, tag, when, zoned } from "./marks.js";

const PAGE = 50;
const KINDS = [["", "All kinds"], ["scheduled", "Scheduled"], ["forced", "Forced"], ["first", "First runs"]];
const STATES = [["", "All results"], ["failed", "Failed"], ["succeeded", "Succeeded"], ["missed", "Did not run"],
    ["running", "Running"]];

const timeOf = (run) => run.created ?? run.scheduledFor;

function result(run) {
    const going = run.state === "running" || run.state === "pending";
    return [mark(RESULTS, run.state),
        run.reason ? h("div", { class: run.state === "failed" ? "bad sub" : "sub" }, run.reason) : null,
        going && run.started ? h("div", { class: "sub" }, lasting(run.started)) : null];
}

function row(run, zone) {
    return h("tr", null,
        h("th", { scope: "row" }, run.name
            ? h("a", { href: address(["runs", run.namespace, run.service, run.name]) }, h("bdi", null, run.name))
            : h("span", { class: "muted" }, "not run")),
        h("td", null, result(run)),
        h("td", null, zoned(timeOf(run), zone), h("div", { class: "sub" }, when(timeOf(run), zone))),
        h("td", null, run.durationSeconds === undefined || run.durationSeconds === null ? "–"
            : duration(run.durationSeconds), run.slow ? [" ", tag("slow", "warn", "Twice as long as usual")] : null),
        h("td", null, run.kind,
            run.requestedBy ? h("div", { class: "sub" }, "by ", h("bdi", null, run.requestedBy)) : null),
        h("td", null, commit(run.commit)));
}

function select(label, choices, value, change) {
    const input = h("select", { "aria-label": label, onchange: () => change(input.value) },
        choices.map(([key, word]) => h("option", { value: key }, word)));
    input.value = value;
    return input;
}

class Runs {
    constructor(place, context) {
        Object.assign(this, { context, service: context.service, runs: [], more: false,
            filter: { kind: "", state: "" } });
        this.body = h("tbody");
        this.picture = h("div");
        this.none = h("div");
        this.table = h("div", { class: "scroll" }, h("table", { class: "list" },
            h("caption", { class: "unseen" }, "Runs, newest first"),
            h("thead", null, h("tr", null, ["Run", "Result", "When", "Took", "Kind", "Commit"].map((word) =>
                h("th", { scope: "col" }, word)))), this.body));
        this.older = h("button", { type: "button", hidden: true, onclick: () => this.load(true) }, "Older runs");
        const filter = (key, label, choices) => select(label, choices, "", (value) => {
            this.filter[key] = value;
            this.load().catch((problem) => context.say(problem.message, "bad"));
        });
        fill(place, this.picture, h("div", { class: "bar" },
            h("div", { class: "narrow" }, filter("kind", "Kind", KINDS)),
            h("div", { class: "narrow" }, filter("state", "Result", STATES))),
            this.table, this.none, h("p", null, this.older));
    }

    async load(older = false) {
        const before = older ? timeOf(this.runs.at(-1)) : null;
        const { kind, state } = this.filter;
        const answer = await get(servicePath(this.service.status, "runs"),
            { limit: PAGE, before, kind: kind || null, state: state || null });
        this.runs = older ? [...this.runs, ...answer.runs] : answer.runs;
        this.more = answer.runs.length >= PAGE;
        this.render(answer.usualSeconds);
    }

    render(usual) {
        const { status, document } = this.service;
        keyed(this.body, this.runs, (run) => run.name ?? `missed ${run.scheduledFor}`,
            (run) => row(run, status.timeZone));
        this.older.hidden = !this.more;
        this.table.hidden = this.runs.length === 0;
        fill(this.none, this.runs.length ? null : empty("No such run",
            h("p", null, this.filter.kind || this.filter.state ? "No run is of that kind and result."
                : "It has never run.")));
        fill(this.picture, durations(this.runs,
            { usual, deadline: document?.maxDurationSeconds ?? null, zone: status.timeZone }));
    }

    update({ kind }) {
        if (kind === "service" || kind === "reload")
            this.load().catch((problem) => this.context.say(problem.message, "bad"));
    }
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const view = new Runs(place, context);
    await view.load();
    return view;
}
