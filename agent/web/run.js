// One run: what came of it, its attempts, and the log of one of them, live while it goes on.
import { address, get, inTurn, request, servicePath } from "./api.js";
import { confirm } from "./dialog.js";
import { fill, h } from "./dom.js";
import { RESULTS, duration, fullTime, goesOn } from "./format.js";
import { Log } from "./log.js";
import { commit, fact, lasting, mark, notice, tag, when } from "./marks.js";

const AGAIN_MS = 2000; // while it goes on

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

// Of one that is over the log may still be read to its end.
const isLive = (run) => goesOn(run) || run.log === "following";

// What it waits for, or why there is no log.
function whyNoLog(run) {
    if (goesOn(run))
        return `Waiting for its container${run.reason ? `: ${run.reason}` : ""} …`;
    return run.log === "lost" ? "Its log is lost: the pod went before it could be read."
        : "It wrote no log: its container never started.";
}

class RunView {
    constructor(place, params, context) {
        this.params = params;
        this.context = context;
        this.run = this.log = null;
        this.query = {};
        this.timer = 0;
        this.closed = false;
        this.attempt = Number(params.query.get("attempt")) || null; // null: the newest
        this.shown = this.attempt; // whose log is shown; null: of the first there will be
        this.load = inTurn(() => this.ask());
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

    async ask() {
        clearTimeout(this.timer);
        const before = this.run;
        try {
            this.run = await get(this.where);
            fill(this.wrong);
        } catch (problem) {
            if (!this.run) // else it is there, and can be asked again
                throw problem;
            fill(this.wrong, notice("warn", h("p", null, problem.message)));
        }
        if (this.closed)
            return;
        if (JSON.stringify(this.run) !== JSON.stringify(before))
            this.render(before);
        if (isLive(this.run))
            this.timer = window.setTimeout(() => this.load(), AGAIN_MS);
    }

    render(before) {
        const { run } = this, attempts = run.attempts ?? [];
        if (before && goesOn(before) && !goesOn(run))
            this.context.say(`${run.name}: ${RESULTS[run.state].word}`, run.state === "failed" ? "bad" : "good");
        fill(this.facts, facts(run), (run.warnings ?? []).map((text) => notice("warn", h("p", null, text))));
        fill(this.actions, goesOn(run) && this.context.may("runner", run.namespace)
            ? h("button", { type: "button", class: "warned", onclick: () => this.cancel() }, "Cancel run") : null);
        this.chooseLog(attempts.at(-1)?.attempt ?? null);
        this.attempts.hidden = attempts.length < 2;
        fill(this.attempts, attempts.map((each) =>
            h("a", { href: this.link(each.attempt), "aria-current": each.attempt === this.shown ? "page" : null },
                mark(RESULTS, each.state, `Attempt ${each.attempt}`),
                each.reason ? h("span", { class: "sub" }, ` ${each.reason}`) : null)));
    }

    // Who has chosen no attempt and reads nothing earlier is shown the newest.
    chooseLog(newest) {
        const goOn = this.log?.following && !this.attempt && this.shown !== null && newest > this.shown;
        this.shown = goOn ? newest : this.shown ?? newest;
        this.query.attempt = this.shown;
        if (goOn)
            this.log.close();
        if (goOn || !this.log)
            this.showLog();
    }

    link(attempt, line = null) {
        return address(["runs", this.params.namespace, this.params.name, this.params.run], { attempt, line });
    }

    showLog() {
        const line = this.log ? null : Number(this.params.query.get("line")) || null;
        this.log = new Log(fill(this.logPlace), { where: `${this.where}/logs`, query: this.query,
            file: `${this.params.run}${this.shown ? `-${this.shown}` : ""}.log`,
            link: (number) => this.link(this.shown, number),
            live: () => isLive(this.run) && (!this.shown || this.shown === this.run.attempts?.at(-1)?.attempt),
            why: () => whyNoLog(this.run), ended: () => this.load() }, line);
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
            this.load();
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
