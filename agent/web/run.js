// One run: what came of it, its attempts, and the log of one of them, live while it goes on.
import { address, get, request, servicePath } from "./api.js";
import { confirm } from "./dialog.js";
import { fill, h } from "./dom.js";
import { RESULTS, duration, fullTime } from "./format.js";
import { Log } from "./log.js";
import { commit, lasting, mark, notice, tag, when } from "./marks.js";

const AGAIN_MS = 2000; // while it goes on
const goesOn = (run) => run.state === "pending" || run.state === "running";

const fact = (word, ...what) => [h("dt", null, word), h("dd", null, ...what)];

function facts(run) {
    const begun = run.started ?? run.created;
    return h("dl", { class: "facts wide" },
        ...fact("Result", mark(RESULTS, run.state), run.reason ? ` ${run.reason}` : "",
            run.exitCode === null ? "" : `, exit ${run.exitCode}`),
        ...fact("Began", h("time", { datetime: begun, title: fullTime(begun) }, fullTime(begun)),
            " · ", when(begun)),
        ...fact("Took", run.finished ? duration(run.durationSeconds) : lasting(begun),
            run.slow ? [" ", tag("twice as long as usual", "warn")] : null),
        ...fact("Kind", run.kind, run.requestedBy ? ` by ${run.requestedBy}` : "",
            run.archived ? h("span", { class: "muted" }, " · kept by the agent alone") : null),
        ...fact("Commit", commit(run.commit)),
        ...(run.besideSchedule && goesOn(run) && run.nextScheduled
            ? fact("Beside it", "the next scheduled run, ", when(run.nextScheduled), ", would start all the same")
            : []));
}

// What it waits for, or why there is no log.
function whyNoLog(run) {
    if (goesOn(run))
        return `Waiting for its container${run.reason ? `: ${run.reason}` : ""} …`;
    return run.log === "lost" ? "Its log is lost: the pod went before it could be read."
        : "It wrote no log: its container never started.";
}

class RunView {
    constructor(place, params, context) {
        Object.assign(this, { params, context, run: null, log: null, timer: 0, closed: false });
        this.attempt = Number(params.query.get("attempt")) || null;
        this.where = servicePath({ namespace: params.namespace, name: params.name }, "runs", params.run);
        this.facts = h("section", { class: "card", "aria-label": "The run" });
        this.actions = h("div", { class: "actions" });
        this.attempts = h("nav", { class: "tabs", "aria-label": "Attempts" });
        this.logPlace = h("div");
        this.wrong = h("div");
        const crumb = (parts, word) => h("a", { href: address(parts) }, h("bdi", null, word));
        fill(place, h("div", { class: "crumbs" }, crumb(["services"], "Services"), " / ",
            crumb(["services", params.namespace, params.name], `${params.namespace}/${params.name}`),
            " / ", crumb(["services", params.namespace, params.name, "runs"], "Runs")),
        h("div", { class: "title" }, h("h1", null, h("bdi", null, params.run)), h("span", { class: "space" }),
            this.actions),
        this.wrong, this.facts, this.attempts, this.logPlace);
        context.title(params.run);
    }

    async load() {
        clearTimeout(this.timer);
        try {
            this.run = await get(this.where);
            fill(this.wrong);
        } catch (problem) {
            if (!this.run || this.closed) // else it is there, and can be asked again
                throw problem;
            fill(this.wrong, notice("warn", h("p", null, problem.message)));
        }
        if (this.closed)
            return;
        this.render();
        if (goesOn(this.run))
            this.timer = window.setTimeout(() => this.load().catch(() => {}), AGAIN_MS);
    }

    render() {
        const { run } = this;
        fill(this.facts, facts(run), (run.warnings ?? []).map((text) => notice("warn", h("p", null, text))));
        fill(this.actions, goesOn(run) && this.context.may("runner", run.namespace)
            ? h("button", { type: "button", class: "warned", onclick: () => this.cancel() }, "Cancel run") : null);
        const attempts = run.attempts ?? [];
        const shown = this.attempt ?? attempts.at(-1)?.attempt ?? null;
        fill(this.attempts, attempts.length > 1 ? attempts.map((each) =>
            h("a", { href: this.link(each.attempt), "aria-current": each.attempt === shown ? "page" : null },
                mark(RESULTS, each.state, `Attempt ${each.attempt}`),
                each.reason ? h("span", { class: "sub" }, ` ${each.reason}`) : null)) : null);
        if (!this.log)
            this.showLog();
    }

    link(attempt, line = null) {
        return address(["runs", this.params.namespace, this.params.name, this.params.run], { attempt, line });
    }

    showLog() {
        const query = { attempt: this.attempt };
        this.log = new Log(this.logPlace, { where: `${this.where}/logs`, query,
            file: `${this.params.run}${this.attempt ? `-${this.attempt}` : ""}.log`,
            link: (line) => this.link(this.attempt, line),
            live: () => goesOn(this.run) &&
                (!this.attempt || this.attempt === this.run.attempts?.at(-1)?.attempt),
            why: () => whyNoLog(this.run), ended: () => this.load().catch(() => {}) },
        Number(this.params.query.get("line")) || null);
    }

    cancel() {
        return confirm({ title: `Cancel ${this.params.run}?`, verb: "Cancel run", danger: true,
            body: [h("p", null, "Its pods are ended. What it wrote stays, and the schedule goes on.")],
            act: async () => {
                await request("DELETE", this.where);
                this.context.say(`${this.params.run} is being cancelled`);
            } });
    }

    update({ kind, data }) {
        const ours = kind === "service" && data.namespace === this.params.namespace && data.name === this.params.name;
        if (kind === "reload" || (ours && goesOn(this.run)))
            this.load().catch(() => {});
    }

    close() {
        this.closed = true;
        clearTimeout(this.timer);
        this.log?.close();
    }
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const view = new RunView(place, params, context);
    await view.load();
    return view;
}
