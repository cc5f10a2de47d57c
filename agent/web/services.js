// The list of all services: by project and environment (a namespace), failing ones first. Rows are kept by the
// events of the agent. What is sought and which count is pressed are in the address: #/services?show=failing&q=vat
import { address, get, inTurn, path } from "./api.js";
import { fill, h, keyed, marked } from "./dom.js";
import { BUILDS, RESULTS, STATES, duration, imageShort, numberOf, plural, repositoryShort, stateOf } from "./format.js";
import { badge, commit, empty, lasting, mark, notice, tag, when, zoned } from "./marks.js";
import { strip } from "./strip.js";
import { forceRun } from "./dialog.js";

const LAST = "\uffff";   // comes after all names of projects
const STRIP = 30;        // runs
const FIRST_ROWS = 60;   // made at once: more than a screen has
const MORE_ROWS = 200;   // made at a time while nothing else is to do
const BUILDS_SHOWN = 200; // of the newest, those that are under way or failed are told
const REFUSED_HOURS = 24;

const isFailing = (row) => row.lastRun?.state === "failed";
const isRunning = (row) => (row.running?.length ?? 0) > 0;

// The counts that filter, in this order.
/** @type {{key: string, word: string, tone: string, fits: (row: any) => boolean, rare?: boolean}[]} */
const FILTERS = [
    { key: "failing", word: "failing", tone: "bad", fits: isFailing },
    { key: "problem", word: "cannot be built", tone: "bad", fits: (row) => Boolean(row.problem), rare: true },
    { key: "running", word: "running", tone: "busy", fits: isRunning },
    { key: "started", word: "started", tone: "good", fits: (row) => stateOf(row) === "started" },
    { key: "stopped", word: "stopped", tone: "quiet", fits: (row) => row.state === "stopped" && !row.starting },
    { key: "draft", word: "drafts", tone: "quiet", fits: (row) => row.state === "draft" || row.starting },
    { key: "pinned", word: "pinned", tone: "warn", fits: (row) => row.pinned, rare: true },
];
const COLUMNS = ["Service", "State", "Live commit", "Last result", "Last runs", "Next run", "Actions"];

const branchOf = (repository, branch) => `${repository} ${branch}`;
const keyOf = (row) => `${row.namespace}/${row.name}`;
const groupOf = (row) => `${row.project ?? LAST}\n${row.namespace}`;
const textOf = (row) => [row.name, row.namespace, row.project, row.repository, row.branch, row.image, row.schedule,
    row.live?.commit, row.live?.subject, row.live?.author].filter(Boolean).join("\n").toLowerCase();

let rows = new Map(); // of the newest list: a service is shown from them until the agent has said all of it

/** What the list has of a service, or null. */
export const knownRow = ({ namespace, name }) => rows.get(keyOf({ namespace, name })) ?? null;

// --- one row ---

const placeOf = (row) => ["services", row.namespace, row.name];

function nameCell(row, sought) {
    const source = row.repository ? `${repositoryShort(row.repository)} ${row.branch ?? ""}` : "container image";
    return h("th", { scope: "row" },
        h("a", { class: "name", href: address(placeOf(row)) }, h("bdi", null, marked(row.name, sought))),
        h("div", { class: "sub", title: row.repository ?? row.image }, h("bdi", null, marked(source, sought))),
        row.problem ? h("div", { class: "sub bad" }, row.problem) : null);
}

// What is on its way to be live, or did not get there.
function buildLine(row, build) {
    if (!build || build.commit === row.live?.commit || build.state === "done" || build.state === "superseded")
        return null;
    return h("div", { class: "sub" }, h("a", { href: address(["builds", build.build]),
        title: build.detail ?? build.reason },
        mark(BUILDS, build.state, `${build.build} ${BUILDS[build.state]?.word ?? build.state}`)), " ",
            commit(build.commit));
}

function liveCell(row, build) {
    const { live } = row;
    if (!live)
        return h("td", { class: "live" }, row.repository ? h("span", { class: "muted" }, "not built yet")
            : h("div", { class: "top" }, h("code", { class: "commit", title: row.image }, imageShort(row.image))),
        buildLine(row, build));
    return h("td", { class: "live" },
        h("div", { class: "top" }, commit(live.commit), " ", live.subject ? h("bdi", { title: live.subject },
            live.subject) : null),
        h("div", { class: "sub" }, row.pinned ? [tag("pinned", "warn", "It does not follow its branch"), " "] : null,
            when(live.patched), live.author ? [" · ", h("bdi", null, live.author)] : null),
        buildLine(row, build));
}

// The newest of what runs now; when it began, the strip knows.
function runningLine(row) {
    const running = row.running ?? [];
    if (running.length === 0)
        return null;
    const name = running.at(-1);
    const at = row.strip?.names.indexOf(name) ?? -1;
    const since = at >= 0 ? row.strip.times[at] : null;
    const text = row.waiting ? `waiting: ${row.waiting.split(": ")[0]}` : running.length > 1
        ? `${running.length} running` : "running";
    return h("div", { class: "now" }, h("a", { href: address(["runs", row.namespace, row.name, name]) },
        mark(RESULTS, row.waiting ? "pending" : "running", text)), " ", since ? lasting(since) : null);
}

function resultCell(row) {
    const run = row.lastRun;
    if (!run)
        return h("td", { class: "result" },
            h("span", { class: "muted" }, run === null ? "never run" : "not known now"), runningLine(row));
    const failed = run.state === "failed";
    return h("td", { class: "result" },
        h("div", { class: "top" }, h("a", { href: address(["runs", row.namespace, row.name, run.name]),
            title: run.reason },
            mark(RESULTS, run.state, failed && run.reason ? run.reason.split(": ")[0] : null)), " ",
        h("span", { class: "muted" }, when(run.finished))),
        h("div", { class: "sub" }, "took ", duration(run.durationSeconds),
            run.slow ? [" ", tag("twice as long as usual", "warn")] : null,
            row.live && run.commit && run.commit !== row.live.commit ? " · live commit not yet run" : null),
        runningLine(row));
}

function nextCell(row) {
    if (!row.next)
        return h("td", { class: "next" }, h("span", { class: "muted" }, row.state === "stopped" ? "stopped" : "–"));
    return h("td", { class: "next" }, h("div", { class: "top" }, when(row.next, row.timeZone)),
        h("div", { class: "sub", title: row.sentence ?? row.schedule }, zoned(row.next, row.timeZone)));
}

function actionCell(row, context) {
    if (row.state === "draft")
        return h("td", { class: "action" }, h("a", { class: "button small", href: address([...placeOf(row), "review"]),
            "aria-label": `Review ${row.namespace}/${row.name}` }, "Review"));
    const may = context.may("runner", row.namespace) && (row.live || !row.repository);
    return h("td", { class: "action" }, may ? h("button", { type: "button", class: "small",
        "aria-label": `Force run ${row.namespace}/${row.name}`, onclick: () => forceRun(row, context) }, "Force run")
            : null);
}

function rowElement(row, build, sought, context) {
    return h("tr", { class: isFailing(row) ? "failing" : "" }, nameCell(row, sought),
        h("td", { class: "state" }, badge(STATES, stateOf(row))), liveCell(row, build), resultCell(row),
        h("td", { class: "runs" }, row.strip ? strip(row, STRIP) : null,
            h("div", { class: "sub" }, row.usualSeconds === null ? "" : `usually ${duration(row.usualSeconds)}`)),
        nextCell(row), actionCell(row, context));
}

// --- the list ---

// Waits for all of them, also when one fails.
async function allOf(works) {
    for (const ended of await Promise.allSettled(works))
        if (ended.status === "rejected")
            throw ended.reason;
}

class List {
    constructor(place, params, context) {
        this.context = context;
        this.rows = new Map();
        this.texts = new Map();
        this.builds = new Map(); // the newest of each branch
        this.show = FILTERS.some(({ key }) => key === params.query.get("show")) ? params.query.get("show") : null;
        this.query = params.query.get("q") ?? "";
        this.most = FIRST_ROWS;
        this.frame = this.idle = 0;
        this.meanwhile = null; // what is told while the list is asked for
        this.buildsMeanwhile = null;
        this.loadBuilds = inTurn(() => this.askForBuilds());
        this.reload = inTurn(() => allOf([this.load(), this.loadBuilds()]));
        this.build(place);
    }

    build(place) {
        this.search = h("input", { type: "search", value: this.query,
            placeholder: "Search services, commits, repositories",
            "aria-label": "Search services", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false",
            oninput: () => this.filter({ q: this.search.value }) });
        this.counts = h("div", { class: "counts", role: "group", "aria-label": "Filter by state" });
        this.notices = h("div");
        this.table = h("table", { class: "services" }, h("caption", { class: "unseen" }, "Services"),
            h("thead", null, h("tr", null, ...COLUMNS.map((word) =>
                h("th", { scope: "col" }, word === "Actions" ? h("span", { class: "unseen" }, word) : word)))));
        this.none = h("div", { "aria-live": "polite" });
        this.summary = h("p", { class: "muted", "aria-live": "polite" });
        fill(place, h("div", { class: "title" }, h("h1", null, "Services"), this.summary, h("span", { class: "space" }),
            this.context.may("admin") ? h("a", { class: "button primary", href: "#/create" }, "New service") : null),
        h("div", { class: "bar" }, h("div", { class: "search" }, this.search, h("kbd", { "aria-hidden": "true" },
            "/")), this.counts),
        this.notices, this.table, this.none);
    }

    async load() {
        const meanwhile = this.meanwhile = [];
        const answer = await get(path("services"), { strip: STRIP });
        this.rows = rows = new Map(answer.services.map((row) => [keyOf(row), row]));
        this.texts = new Map(answer.services.map((row) => [keyOf(row), textOf(row)]));
        this.webhooks = answer.webhooks.listen;
        fill(this.notices, refusedNotice(answer.refused));
        this.meanwhile = null;
        meanwhile.forEach((event) => this.take(event)); // the answer may be older than they are
        this.render();
    }

    async askForBuilds() {
        const meanwhile = this.buildsMeanwhile = [];
        const { builds } = await get(path("builds"), { limit: BUILDS_SHOWN });
        this.buildsMeanwhile = null;
        [...builds, ...meanwhile].forEach((build) => this.takeBuild(build));
        this.render();
    }

    takeBuild(build) {
        const branch = branchOf(build.repository, build.branch), known = this.builds.get(branch);
        if (!known || numberOf(build) >= numberOf(known)) // one that is overtaken may be told of after the newer one
            this.builds.set(branch, build);
    }

    filter(change) {
        this.query = change.q ?? this.query;
        this.show = change.show === undefined ? this.show : change.show;
        this.most = FIRST_ROWS;
        this.context.setQuery({ q: this.query.trim(), show: this.show });
        this.render();
    }

    update({ kind, data }) {
        if (kind === "reload")
            return this.reload().catch((problem) => this.context.say(problem.message, "bad"));
        this.meanwhile?.push({ kind, data });
        if (this.take({ kind, data }))
            this.frame ||= requestAnimationFrame(() => this.render());
    }

    /** Whether it changes what is shown. */
    take({ kind, data }) {
        if (kind === "service") {
            const before = this.rows.get(keyOf(data));
            this.rows.set(keyOf(data), data);
            this.texts.set(keyOf(data), textOf(data));
            this.tell(before, data);
        } else if (kind === "service-gone") {
            this.rows.delete(keyOf(data));
        } else if (kind === "build") {
            this.buildsMeanwhile?.push(data);
            this.takeBuild(data);
        }
        return ["service", "service-gone", "build"].includes(kind);
    }

    // A failure is said; all the rest is seen.
    tell(before, row) {
        const run = row.lastRun;
        if (before && isFailing(row) && run.name !== before.lastRun?.name)
            this.context.say(`${keyOf(row)} failed${run.reason ? `: ${run.reason}` : ""}`, "bad");
    }

    // Failing ones first, and so their groups; then by name.
    found() {
        const sought = this.query.trim().toLowerCase();
        const fits = FILTERS.find(({ key }) => key === this.show)?.fits ?? (() => true);
        const groups = new Map();
        for (const [key, row] of this.rows)
            if (fits(row) && (!sought || this.texts.get(key).includes(sought)))
                groups.get(groupOf(row))?.push(row) ?? groups.set(groupOf(row), [row]);
        const order = (a, b) => a < b ? -1 : a > b ? 1 : 0;
        return [...groups].map(([key, rows]) => ({ key, failing: rows.filter(isFailing).length,
            rows: rows.sort((a, b) => Number(isFailing(b)) - Number(isFailing(a)) || order(a.name, b.name)) }))
            .sort((a, b) => Number(b.failing > 0) - Number(a.failing > 0) || order(a.key, b.key));
    }

    render() {
        cancelAnimationFrame(this.frame);
        this.frame = 0;
        const groups = this.found();
        const count = groups.reduce((sum, { rows }) => sum + rows.length, 0);
        const sought = this.query.trim().toLowerCase();
        let room = this.most;
        const seen = groups.filter(() => room > 0).map((group) => {
            const rows = group.rows.slice(0, Math.max(0, room));
            room -= group.rows.length;
            return { ...group, seen: rows };
        }).filter((group) => group.seen.length);
        keyed(this.table, seen, ({ key }) => key, (group, old) => this.renderGroup(group, old, sought));
        this.table.hidden = count === 0;
        this.renderCounts();
        fill(this.summary, count === this.rows.size ? plural(count, "service")
            : `${count} of ${plural(this.rows.size, "service")}`);
        fill(this.none, count ? null : this.rows.size ? this.nothingFound() : firstSteps(this.webhooks, this.context));
        if (count > this.most)
            this.later();
    }

    // The rest, while nothing else is to do.
    later() {
        clearTimeout(this.idle);
        this.idle = window.setTimeout(() => {
            this.most += MORE_ROWS;
            this.render();
        }, 30);
    }

    renderGroup({ key, rows, seen, failing }, old, sought) {
        const [project, namespace] = key.split("\n");
        const body = old ?? h("tbody", null, h("tr", { class: "group" }, h("th",
            { scope: "rowgroup", colspan: COLUMNS.length })));
        const heading = body.firstElementChild.firstElementChild;
        const says = `${rows.length} ${failing}`;
        if (heading["says"] !== says)
            fill(heading, project !== LAST ? [h("bdi", { class: "strong" }, project), " / "] : null, h("bdi",
                { class: "strong" }, namespace),
                h("span", { class: "muted" }, ` ${plural(rows.length, "service")}`),
                failing ? h("span", { class: "bad" }, ` · ${failing} failing`) : null);
        heading["says"] = says;
        keyed(body, seen, (row) => row.name, (row, before) => {
            const build = row.repository ? this.builds.get(branchOf(repositoryShort(row.repository), row.branch))
                : null;
            if (before && before["row"] === row && before["sought"] === sought && before["build"] === build)
                return before;
            const element = rowElement(row, build, sought, this.context);
            if (before && before["row"] !== row)
                element.classList.add("changed");
            return Object.assign(element, { row, sought, build });
        });
        return body;
    }

    renderCounts() {
        const rows = [...this.rows.values()];
        const counted = [{ key: "all", word: "all", tone: "quiet", rare: false, count: rows.length },
            ...FILTERS.map((filter) => ({ ...filter, count: rows.filter(filter.fits).length }))]
            .filter(({ key, rare, count }) => !rare || count || this.show === key);
        keyed(this.counts, counted, ({ key }) => key, ({ key, word, tone, count }, old) => {
            const pressed = key === (this.show ?? "all");
            const button = old ?? h("button", { type: "button",
                onclick: () => this.filter({ show: key === "all" || this.show === key ? null : key }) });
            button.className = `count ${count ? tone : "quiet"}`;
            button.setAttribute("aria-pressed", String(pressed));
            return fill(button, h("b", null, count.toLocaleString("en")), ` ${word}`);
        });
    }

    nothingFound() {
        return empty("No service is like that.", h("button", { type: "button", onclick: () => {
            this.search.value = "";
            this.filter({ q: "", show: null });
            this.search.focus();
        } }, "Show all services"));
    }

    close() {
        cancelAnimationFrame(this.frame);
        clearTimeout(this.idle);
    }
}

function refusedNotice(refused) {
    const last = refused.last;
    if (!refused.count || !last || Date.now() - Date.parse(last.time) > REFUSED_HOURS * 3600e3)
        return null;
    return notice("warn", h("p", null, plural(refused.count, "webhook request"), " refused, the last ", when(last.time),
        " from ", h("code", null, last.peer), `: ${last.reason}. `, h("a", { href: "#/deliveries" },
            "See deliveries")));
}

// What an agent without services says: where webhooks go, and how to begin.
function firstSteps(listen, context) {
    const port = /^(?:0\.0\.0\.0|\[::\])(:\d+)$/.exec(listen ?? "");
    const url = port ? `http://${location.hostname}${port[1]}` : listen?.includes("unix:") ? "https://YOUR-PROXY"
        : `http://${listen}`;
    const line = (text) => h("pre", null, text);
    return h("div", { class: "card first" }, h("h2", null, "No services yet"),
        context.may("admin") ? h("p", null, h("a", { class: "button primary", href: "#/create" },
            "Create the first one")) : null,
        h("p", null, "Or take over a CronJob that is there:"),
        line("cronwright adopt NAMESPACE/NAME --repository https://github.com/acme/report --branch main"),
        h("p", null, "Webhooks go to these addresses; their secrets are the agent's settings beside them:"),
        line(["github  webhooks.github.secretFiles", "gitlab  webhooks.gitlab.tokenFiles or signingTokenFiles",
            "gitea  webhooks.gitea.secretFiles", "bitbucket  webhooks.bitbucket.secretFiles"]
            .map((each) => `${url}/webhooks/${each}`).join("\n")),
        h("p", null, "Try one:"),
        line(`cronwright sign --secret-file FILE --repository https://github.com/acme/report ${url}`));
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const list = new List(place, params, context);
    await list.load();
    list.loadBuilds().catch((problem) => context.say(problem.message, "bad"));
    return list;
}
