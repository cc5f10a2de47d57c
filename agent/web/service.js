// The frame of one service: its name and state, what may be done to it, and its tabs. Each tab is a view of its own
// (main.js says what a view is) with an address, and finds the service in `context.service`.
import { address, fetchRaw, get, inTurn, loaded, post, request, servicePath } from "./api.js";
import { confirm, forceRun, isEarlier, rollBack } from "./dialog.js";
import { busy, fill, h } from "./dom.js";
import { STATES, repositoryShort, stateOf, withWarnings } from "./format.js";
import { badge, notice, tag } from "./marks.js";
import { knownRow } from "./services.js";

/**
 * @typedef {import("./main.js").Context & {service: Service}} Context
 * @typedef {{update?: Function, close?: Function}} Tab
 * @typedef {(place: HTMLElement, params: any, context: Context) => Promise<Tab|undefined>} ShowTab
 * @typedef {object} Service  what tabs get
 * @property {any} status  its row, as the list has it; once the document is there also what is missing before start,
 *   what could not be looked at, warnings and the last build
 * @property {any} document  the service as GET answers it; null for a tab that is shown `early`, until an update
 * @property {string|null} etag  for If-Match
 * @property {() => Promise<void>} reload  asks anew and tells the tab by an update of kind "service"
 */

// One that is shown `early` does not wait for the document, which takes the agent a moment to check.
const TABS = [
    { key: "review", word: "Review", load: () => import("./review.js"), fits: (row) => row.state === "draft" },
    { key: "overview", word: "Overview", load: () => import("./overview.js"), early: true },
    { key: "runs", word: "Runs", load: () => import("./runs.js"), early: true },
    { key: "builds", word: "Builds", load: () => import("./builds.js"), early: true,
        fits: (row) => row.repository !== null },
    { key: "images", word: "Images", load: () => import("./images.js"), early: true },
    { key: "schedule", word: "Schedule", load: () => import("./schedule.js") },
    { key: "settings", word: "Settings", load: () => import("./settings.js") },
    { key: "manifest", word: "YAML", load: () => import("./manifest.js") },
];

// --- what may be done ---

const fullName = (row) => `${row.namespace}/${row.name}`;
const isBuilt = (row) => row.repository === null || row.live !== null;

async function start(row, context, service) {
    const change = await post(servicePath(row, "start"));
    context.say(withWarnings(`${fullName(row)}: ${change.before} → ${change.after}.`, change.warnings));
    await service.reload();
}

function stop(row, context, service) {
    return confirm({ title: `Stop ${fullName(row)}?`, verb: "Stop",
        body: [h("p", null, "No run is begun by its schedule until it is ",
        "started again. What runs now goes on, and pushes are still built.")], act: async () => {
        const change = await post(servicePath(row, "stop"));
        context.say(withWarnings(`${fullName(row)}: ${change.before} → ${change.after}.`, change.warnings));
        await service.reload();
    } });
}

async function build(row, context) {
    const answer = await post(servicePath(row, "build"));
    context.say(answer.build ? `${answer.build} builds the head of ${row.branch}`
        : `The head of ${row.branch} is looked at`);
    context.go(["services", row.namespace, row.name, "builds"]);
}

async function resume(row, context, service) {
    const change = await post(servicePath(row, "resume"));
    context.say(`${fullName(row)}: ${change.before} → ${change.after}; the head of ${row.branch} is looked at`);
    await service.reload();
}

async function rollback(row, context, service) {
    const { images } = await get(servicePath(row, "images"), { limit: 20 });
    return rollBack(images.filter(({ build }, at) => isEarlier(images, at) &&
        images.findIndex((each) => each.build === build) === at), context, service);
}

function remove(row, context) {
    const logs = h("input", { type: "checkbox" }), runs = h("input", { type: "checkbox" });
    const name = h("input", { autocomplete: "off", spellcheck: "false" });
    const active = row.running?.length ?? 0;
    return confirm({ title: `Delete ${fullName(row)}?`, verb: "Delete service", danger: true, body: [
        h("p", null, "The CronJob and its Jobs are taken out of Kubernetes. There is no way back."),
        active ? h("label", { class: "choice" }, runs, h("span", null,
            `Cancel ${active === 1 ? "the run" : `the ${active} runs`} that is active`)) : null,
        h("label", { class: "choice" }, logs, h("span", null, "Delete the logs of its runs, too", h("small", null,
            "Else they stay as long as all logs do."))),
        h("label", null, "Its name, to be sure: ", h("code", null, row.name), name)],
    act: async () => {
        if (name.value.trim() !== row.name)
            throw new Error(`Type ${row.name} to delete it.`);
        await request("DELETE", servicePath(row), { query: { ifActive: runs.checked ? "cancel" : null,
            logs: logs.checked ? "delete" : null } });
        context.say(`${fullName(row)} is deleted`);
        context.go(["services"]);
    } });
}

// In their order in the bar; `when` is asked with the row, and decides whether there is something to do.
const ACTIONS = [
    { word: "Force run CronJob", role: "runner", look: "primary", when: isBuilt, act: forceRun },
    { word: "Start", role: "admin", when: (row) => stateOf(row) === "stopped" || stateOf(row) === "draft", act: start },
    { word: "Build now", role: "admin", when: (row) => row.repository !== null, act: build },
    { word: "Stop", role: "admin", when: (row) => row.state === "started" || row.starting, act: stop },
    { word: "Roll back", role: "admin", when: (row) => row.live !== null || row.pinned, act: rollback },
    { word: "Follow its branch", role: "admin", when: (row) => row.pinned && row.repository !== null, act: resume },
    { word: "Delete", role: "admin", look: "warned", when: () => true, act: remove },
];

function actionButton(action, context, service) {
    const button = h("button", { type: "button", class: action.look, onclick: () => busy(button, async () => {
        try {
            await action.act(service.status, context, service);
        } catch (problem) {
            context.say([problem.message, ...(problem.missing ?? [])].join(" "), "bad");
        }
    }) }, action.word);
    return button;
}

// --- the frame ---

class Frame {
    constructor(place, params, context) {
        this.params = params;
        this.context = context;
        this.tab = {};
        this.words = "";
        this.head = h("div");
        this.actions = h("div", { class: "actions", role: "group", "aria-label": "Actions" });
        this.notices = h("div");
        this.tabs = h("nav", { class: "tabs", "aria-label": "Of this service" });
        this.content = h("div");
        this.heading = h("h1", null, h("bdi", null, params.name));
        this.badges = h("span", { class: "actions" });
        fill(place, h("div", { class: "crumbs" }, h("a", { href: "#/services" }, "Services"), " / ",
            h("a", { href: address(["services"], { q: params.namespace }) }, h("bdi", null, params.namespace))),
        h("div", { class: "title" }, this.heading, this.badges, h("span", { class: "space" }), this.actions),
        this.notices, this.tabs, this.content);
        this.service = { status: knownRow(params), document: null, etag: null, reload: () => this.load() };
        this.load = inTurn(() => this.ask());
    }

    /** All of the service, asked anew; the tab is told. */
    async ask() {
        const response = await fetchRaw("GET", servicePath(this.params));
        const document = await response.json();
        Object.assign(this.service, { document, status: document.status, etag: response.headers.get("ETag") });
        this.render();
        this.tab.update?.({ kind: "service", data: document.status });
    }

    render() {
        const row = this.service.status;
        fill(this.badges, badge(STATES, stateOf(row)), row.pinned ? tag("pinned", "warn",
            "It does not follow its branch") : null,
            row.owner ? tag(`also written by ${row.owner}`, "quiet") : null);
        const possible = ACTIONS.filter((action) => this.context.may(action.role, row.namespace) && action.when(row));
        const words = possible.map(({ word }) => word).join();
        if (words !== this.words) // else a button may be in use
            fill(this.actions, ...possible.map((action) => actionButton(action, this.context, this.service)));
        this.words = words;
        fill(this.notices, row.problem ? notice("bad", h("p", null, row.problem)) : null);
        const current = this.tabOf(row).key;
        fill(this.tabs, ...TABS.filter(({ fits }) => !fits || fits(row)).map(({ key, word }) =>
            h("a", { href: address(["services", row.namespace, row.name, key]), "aria-current": key === current
                ? "page" : null }, word)));
    }

    // A draft is reviewed first.
    tabOf(row) {
        return TABS.find(({ key }) => key === this.params.tab) ?? TABS.find(({ fits }) => !fits || fits(row));
    }

    async showTab() {
        const tab = this.tabOf(this.service.status);
        this.context.title(`${this.params.name} · ${tab.word}`);
        const module = await loaded(tab.load());
        this.tab = await module.show(this.content, this.params, { ...this.context, service: this.service }) ?? {};
    }

    update(event) {
        const { kind, data } = event;
        const ours = data && data.namespace === this.params.namespace && data.name === this.params.name;
        if (kind === "reload" || (kind === "service" && ours)) {
            if (kind === "service")
                this.service.status = { ...this.service.status, ...data };
            this.render();
            this.tab.update?.(event);
            this.load().catch((problem) => this.context.say(problem.message, "bad"));
        } else if (kind === "service-gone" && ours) {
            fill(this.notices, notice("bad", h("p", null, "This service has been deleted. "), h("a",
                { href: "#/services" }, "All services")));
        } else if (kind === "build" || kind === "delivery") {
            this.tab.update?.(event);
            if (kind === "build" && this.follows(data)) // the document names the last one
                this.load().catch((problem) => this.context.say(problem.message, "bad"));
        }
    }

    follows({ repository, branch }) {
        const { status } = this.service;
        return status.repository && branch === status.branch && repository === repositoryShort(status.repository);
    }

    close() {
        this.tab.close?.();
    }
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const frame = new Frame(place, params, context);
    const first = frame.load();
    if (frame.service.status)
        frame.render();
    if (!frame.service.status || !frame.tabOf(frame.service.status).early)
        await first;
    first.catch((problem) => context.say(problem.message, "bad"));
    await frame.showTab();
    return frame;
}
