// A service's runs, those that were due and did not happen too, and how long they took.
import { address, get, servicePath } from "./api.js";
import { durations } from "./durations.js";
import { fill, h } from "./dom.js";
import { RESULTS, duration, goesOn } from "./format.js";
import { commit, empty, lasting, mark, tag, when, zoned } from "./marks.js";
import { Pages } from "./pages.js";

const KINDS = [["", "All kinds"], ["scheduled", "Scheduled"], ["forced", "Forced"], ["first", "First runs"]];
const STATES = [["", "All results"], ["failed", "Failed"], ["succeeded", "Succeeded"], ["missed", "Did not run"],
    ["running", "Running"], ["pending", "Waiting"], ["unknown", "Outcome unknown"]];

const timeOf = (run) => run.created ?? run.scheduledFor;

function result(run) {
    return [mark(RESULTS, run.state),
        run.reason ? h("div", { class: run.state === "failed" ? "bad sub" : "sub" }, run.reason) : null,
        goesOn(run) && run.started ? h("div", { class: "sub" }, lasting(run.started)) : null];
}

function row(run, zone) {
    return h("tr", null,
        h("th", { scope: "row" }, run.name
            ? h("a", { href: address(["runs", run.namespace, run.service, run.name]) }, h("bdi", null, run.name))
            : h("span", { class: "muted" }, "not run")),
        h("td", null, result(run)),
        h("td", null, zoned(timeOf(run), zone), h("div", { class: "sub" }, when(timeOf(run), zone))),
        h("td", null, duration(run.durationSeconds),
            run.slow ? [" ", tag("slow", "warn", "Twice as long as usual")] : null),
        h("td", null, run.kind,
            run.requestedBy ? h("div", { class: "sub" }, "by ", h("bdi", null, run.requestedBy)) : null),
        h("td", null, commit(run.commit)));
}

function select(label, choices, change) {
    const input = h("select", { "aria-label": label, onchange: () => change(input.value) },
        choices.map(([key, word]) => h("option", { value: key }, word)));
    return input;
}

class Runs {
    constructor(place, context) {
        this.context = context;
        this.service = context.service;
        this.usual = null;
        this.filter = { kind: "", state: "" };
        this.picture = h("div");
        this.pages = new Pages({ caption: "Runs, newest first", older: "Older runs",
            columns: ["Run", "Result", "When", "Took", "Kind", "Commit"],
            key: (run) => run.name ?? `missed ${run.scheduledFor}`,
            row: (run) => row(run, this.service.status.timeZone),
            ask: (limit, last) => this.ask(limit, last),
            none: () => empty("No such run", h("p", null, this.filter.kind || this.filter.state
                ? "No run is of that kind and result." : "It has never run.")),
            say: context.say });
        const filter = (key, label, choices) => h("div", { class: "narrow" }, select(label, choices, (value) => {
            this.filter[key] = value;
            this.refresh(this.pages.again());
        }));
        fill(place, this.picture,
            h("div", { class: "bar" }, filter("kind", "Kind", KINDS), filter("state", "Result", STATES)),
            this.pages.element);
    }

    async ask(limit, last) {
        const { kind, state } = this.filter;
        const answer = await get(servicePath(this.service.status, "runs"),
            { limit, before: last && timeOf(last), kind, state });
        this.usual = answer.usualSeconds;
        return answer.runs;
    }

    async refresh(loaded) {
        await loaded;
        const { status, document } = this.service;
        fill(this.picture, durations(this.pages.items,
            { usual: this.usual, deadline: document?.maxDurationSeconds ?? null, zone: status.timeZone }));
    }

    update({ kind }) {
        if (kind === "service" || kind === "reload")
            this.refresh(this.pages.refresh());
    }
}

/** @type {import("./service.js").ShowTab} */
export async function show(place, params, context) {
    const view = new Runs(place, context);
    await view.refresh(view.pages.load());
    return view;
}
