// Everything that forges have sent, refused requests too, and what each led to. And the answer to the commonest
// question: why did nothing happen for this commit?
import { address, get, inTurn, path } from "./api.js";
import { fill, h } from "./dom.js";
import { BUILDS, commitShort, duration } from "./format.js";
import { commit, empty, mark, notice, table, tag, when } from "./marks.js";
import { Pages } from "./pages.js";

const TYPING_MS = 300;
const COMMIT = /^[0-9a-f]{7,40}$/;

const GOOD = ["deployed", "unchanged"];
const BAD = ["build-failed", "patch-failed", "deadline", "out-of-memory", "head-unknown", "branch-missing",
    "misconfigured", "not-allowed"];
const toneOf = (delivery) => delivery.pending ? "busy" : GOOD.includes(delivery.reason) ? "good"
    : BAD.includes(delivery.reason) ? "bad" : "quiet";

function row(delivery) {
    return h("tr", { class: delivery.pending ? "changed" : null },
        h("th", { scope: "row" }, when(delivery.received)),
        h("td", null, delivery.forge, h("div", { class: "sub" }, delivery.event)),
        h("td", null, h("bdi", null, delivery.repository ?? "–"),
            h("div", { class: "sub" }, h("bdi", null, delivery.branch ?? delivery.ref ?? ""))),
        h("td", null, commit(delivery.commit),
            delivery.pusher ? h("div", { class: "sub" }, "by ", h("bdi", null, delivery.pusher)) : null),
        h("td", null, tag(delivery.reason, toneOf(delivery)),
            delivery.detail ? h("div", { class: "sub" }, delivery.detail) : null),
        h("td", null, delivery.build ? h("a", { href: address(["builds", delivery.build]) }, delivery.build) : "–"));
}

function refusals(refused) {
    if (!refused?.length)
        return null;
    return h("section", { class: "card refused" }, h("h2", null, "Refused requests"),
        h("p", { class: "muted" },
            "Nothing of these was stored. Most often the secret differs between the forge and the agent."),
        table("Refused requests", ["Last", "From", "Status", "Why", "How often"], ...refused.map((each) => h("tr", null,
            h("th", { scope: "row" }, when(each.time)),
            h("td", null, each.peer, each.forge ? h("div", { class: "sub" }, each.forge) : null),
            h("td", null, String(each.status)), h("td", null, each.reason),
            h("td", null, `${each.count.toLocaleString("en")}×`,
                each.count > 1 ? h("div", { class: "sub" }, "since ", when(each.since)) : null)))));
}

// --- why did nothing happen? ---

/** What is known of a commit, as sentences; the last says what to do. */
function story(hash, deliveries, builds, services) {
    const told = [], last = builds[0];
    const delivery = deliveries.at(-1);
    if (!delivery)
        told.push(["quiet", [`No webhook told of ${hash}. `, builds.length ? "The agent found it by itself."
            : "Either the forge did not send one, it was refused (see below), or this commit was never " +
                "the last one of a push."]]);
    for (const each of deliveries)
        told.push([toneOf(each), ["Received ", when(each.received), ` from ${each.forge}: `,
            h("strong", null, each.reason), each.detail ? `, ${each.detail}` : ""]]);
    for (const build of [...builds].reverse())
        told.push([BUILDS[build.state]?.tone ?? "quiet", [
            h("a", { href: address(["builds", build.build]) }, build.build), " ", mark(BUILDS, build.state),
            build.detail ? `: ${build.detail}` : "",
            build.kanikoSeconds === null ? "" : ` (${duration(build.kanikoSeconds)})`]]);
    const live = services.filter((service) => service.live?.commit.startsWith(hash));
    if (live.length)
        told.push(["good", ["Live now in ", live.map((service, at) => [at ? ", " : "",
            h("a", { href: address(["services", service.namespace, service.name]) },
                `${service.namespace}/${service.name}`)]), "."]]);
    else if (last?.state === "done")
        told.push(["quiet", ["A later commit is live now, or the service is pinned."]]);
    else if (!delivery && !builds.length)
        told.push(["warn", ["Look at the forge's list of recent deliveries for its webhook, and at ",
            h("code", null, "cronwright doctor"), "; the sweep finds missed pushes by itself."]]);
    return told;
}

async function why(hash) {
    const [{ deliveries }, { builds }, { services }] = await Promise.all([
        get(path("deliveries"), { commit: hash, limit: 20 }), get(path("builds"), { commit: hash, limit: 20 }),
        get(path("services"))]);
    const told = story(hash, deliveries.reverse(), builds, services);
    return h("section", { class: "card why" },
        h("h2", null, "Commit ", h("code", null, commitShort(hash))), h("ol", { class: "story" },
        told.map(([tone, words]) => h("li", { class: `tone-${tone}` }, words))));
}

class Deliveries {
    constructor(place, params, context) {
        this.context = context;
        this.repository = params.query.get("repository") ?? "";
        this.commit = params.query.get("commit") ?? "";
        this.timer = 0;
        const input = (label, key, hint) => h("div", { class: "search" }, h("input", { type: "search",
            "aria-label": label, placeholder: hint, value: this[key], spellcheck: "false",
            oninput: (event) => this.typed(key, event.target.value.trim()) }));
        this.pages = new Pages({ caption: "Deliveries, newest first", older: "Older deliveries",
            columns: ["Received", "Forge", "Repository", "Commit", "Reason", "Build"],
            key: (delivery) => String(delivery.seq), row, ask: (limit, last) => this.ask(limit, last),
            none: () => this.none(), say: context.say });
        this.answer = h("div", { role: "status" });
        this.refused = h("div");
        this.answerWhy = inTurn(() => this.tellWhy());
        fill(place, h("div", { class: "title" }, h("h1", null, "Deliveries")), h("div", { class: "bar" },
            input("Repository", "repository", "github.com/acme/report"),
            input("Why did nothing happen? A commit", "commit", "Why did nothing happen? A commit …")),
        this.answer, this.pages.element, this.refused);
    }

    typed(key, value) {
        this[key] = value;
        clearTimeout(this.timer);
        this.timer = setTimeout(() => {
            this.context.setQuery({ repository: this.repository, commit: this.commit });
            this.pages.again();
            this.pages.told(this.answerWhy());
        }, TYPING_MS);
    }

    async ask(limit, last) {
        const answer = await get(path("deliveries"), { limit, repository: this.repository, before: last?.seq });
        fill(this.refused, refusals(answer.refused));
        return answer.deliveries;
    }

    none() {
        return empty(this.repository ? `No delivery of ${this.repository}` : "No delivery yet",
            h("p", null, this.repository ? "The repository is named as in its URL, without https:// and .git."
                : "Point a webhook of GitHub or GitLab at the agent; see the list of services for how."));
    }

    async tellWhy() {
        const hash = this.commit.toLowerCase();
        fill(this.answer, !hash ? null : COMMIT.test(hash) ? await why(hash)
            : notice("info", h("p", null, "A commit is 7 to 40 digits of 0–9 and a–f.")));
    }

    update({ kind }) {
        if (kind === "delivery" || kind === "reload")
            this.pages.refresh();
        if (this.commit && ["delivery", "build", "reload"].includes(kind))
            this.pages.told(this.answerWhy());
    }

    close() {
        clearTimeout(this.timer);
    }
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const view = new Deliveries(place, params, context);
    await Promise.all([view.pages.load(), view.answerWhy()]);
    return view;
}
