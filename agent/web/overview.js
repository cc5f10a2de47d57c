// A service's first tab: how its last push came to run, step by step with times and reasons, and what it is.
import { address, fetchRaw, get, path, servicePath } from "./api.js";
import { fill, h } from "./dom.js";
import { BUILDS, RESULTS, commitShort, duration, imageShort, repositoryShort } from "./format.js";
import { commit, lasting, mark, notice, when, zoned } from "./marks.js";
import { explainStrips, strip } from "./strip.js";

const STRIP = 30;
const LAST_LINES = 8;
const ENDED = ["done", "failed", "superseded"];

// --- the chain ---

/** One step: a mark, its word, what happened, and when. */
function step(marked, word, what, at) {
    return h("li", null, marked, h("span", { class: "word" }, word), h("div", { class: "what" }, ...what),
        h("span", { class: "at" }, at));
}

// A step's symbol; its word is said to those who do not see it.
const sign = (table, key) => mark(table, key, "");

function pushStep(row, build, delivery) {
    if (!build && !delivery)
        return step(sign(RESULTS, "pending"), "Push", [h("span", { class: "muted" }, "none received yet; "),
            h("a", { href: address(["deliveries"], { repository: repositoryShort(row.repository) }) }, "why did nothing happen?")], "");
    const who = delivery?.pusher ?? build?.author;
    const how = delivery ? `${delivery.event} from ${delivery.forge}` : null;
    return step(sign(RESULTS, "succeeded"), "Push", [h("div", null, commit(build?.commit ?? delivery.commit), " ", h("bdi", null, build?.subject ?? "")),
        h("div", { class: "sub" }, [who, how, `${repositoryShort(row.repository)} ${row.branch}`].filter(Boolean).join(" · "))],
    delivery ? when(delivery.received) : when(build?.created));
}

function buildSteps(row, build) {
    if (!build)
        return [step(sign(BUILDS, "waiting"), "Build", [h("span", { class: "muted" }, "none yet")], "")];
    const link = h("a", { href: address(["builds", build.build]) }, build.build);
    const parts = [["fetch", build.fetchSeconds], ["context", build.contextSeconds], ["build", build.kanikoSeconds]]
        .filter(([, seconds]) => seconds !== null).map(([word, seconds]) => `${word} ${duration(seconds)}`).join(", ");
    const ended = ENDED.includes(build.state);
    const reason = build.state === "failed" || !ended ? [build.reason, build.detail].filter(Boolean).join(": ") : "";
    return [step(sign(BUILDS, build.state), "Build", [h("div", null, link, " ", BUILDS[build.state]?.word ?? build.state,
        ended ? null : [" ", lasting(build.started ?? build.created)]),
    h("div", { class: "sub" }, parts), reason ? h("div", { class: build.state === "failed" ? "bad" : "sub" }, reason) : null,
    ...(build.lastLines?.length ? [h("pre", null, build.lastLines.slice(-LAST_LINES).join("\n"))] : [])],
    when(build.finished ?? build.started)),
    digestStep(build), patchStep(row, build)];
}

function digestStep(build) {
    const state = build.digest ? "succeeded" : build.state === "failed" ? "missed" : "pending";
    return step(sign(RESULTS, state), "Digest", [build.digest ? h("div", null, h("code", { title: `${build.image}@${build.digest}` },
        imageShort(`${build.image}@${build.digest}`))) : h("span", { class: "muted" }, state === "missed" ? "no image was made" : "not pushed yet")], "");
}

function patchStep(row, build) {
    const patch = build.patches?.find((each) => each.namespace === row.namespace && each.name === row.name);
    if (patch)
        return step(sign(RESULTS, "succeeded"), "Patched", [h("div", null, "the CronJob's image"), h("div", { class: "sub", title: patch.oldImage },
            `${patch.oldImage ? imageShort(patch.oldImage) : "none"} → ${imageShort(patch.newImage)}`)], when(patch.at));
    const why = row.pinned ? "pinned: it does not follow its branch" : ENDED.includes(build.state) ? `not patched: ${build.detail ?? build.reason ?? build.state}`
        : "not patched yet";
    return step(sign(RESULTS, row.pinned || ENDED.includes(build.state) ? "missed" : "pending"), "Patched", [h("span", { class: "muted" }, why)], "");
}

function runStep(row, runs) {
    const run = row.live ? runs.filter((each) => each.name && each.commit === row.live.commit).at(-1) : runs.find((each) => each.name);
    if (!run)
        return step(sign(RESULTS, "pending"), "Run", [h("div", null, row.live ? [commitShort(row.live.commit), " has not run yet"] : "never run"),
            row.next ? h("div", { class: "sub" }, "next ", when(row.next, row.timeZone), ", ", zoned(row.next, row.timeZone)) : null], "");
    const going = run.state === "running" || run.state === "pending";
    return step(sign(RESULTS, run.state), row.live ? "First run" : "Last run", [h("div", null, h("a", { href: address(["runs", row.namespace, row.name, run.name]) }, run.name), " ",
        RESULTS[run.state]?.word ?? run.state, going && run.started ? [" ", lasting(run.started)] : null),
    h("div", { class: "sub" }, [run.kind, run.requestedBy && `by ${run.requestedBy}`, run.durationSeconds !== null && `took ${duration(run.durationSeconds)}`]
        .filter(Boolean).join(" · ")), run.reason ? h("div", { class: run.state === "failed" ? "bad" : "sub" }, run.reason) : null],
    when(run.finished ?? run.started ?? run.created));
}

function chain(row, { build, delivery, runs }) {
    const steps = row.repository ? [pushStep(row, build, delivery), ...buildSteps(row, build)]
        : [step(sign(RESULTS, "succeeded"), "Image", [h("code", { title: row.image }, imageShort(row.image))], "")];
    return h("section", { class: "card", "aria-labelledby": "chain" }, h("h2", { id: "chain" }, row.repository ? "From push to run" : "From image to run"),
        h("ol", { class: "chain" }, ...steps, runStep(row, runs)));
}

// --- what it is ---

const fact = (word, ...what) => [h("dt", null, word), h("dd", null, ...what)];

function facts(document, row) {
    const limits = document.resources?.limits ?? {};
    const guards = [document.concurrency, `${document.restarts} restarts`, document.maxDurationSeconds ? `at most ${duration(document.maxDurationSeconds)}` : "no time limit",
        limits.memory && `memory ${limits.memory}`, limits.cpu && `cpu ${limits.cpu}`].filter(Boolean).join(", ");
    return h("section", { class: "card", "aria-labelledby": "facts" }, h("h2", { id: "facts" }, "Service"), h("dl", { class: "facts" },
        ...fact("Project", row.project ? h("bdi", null, row.project) : "–"),
        ...fact("Source", h("bdi", null, row.repository ? `${repositoryShort(row.repository)} ${row.branch}` : row.image),
            row.repository ? h("div", { class: "sub" }, row.dockerfile) : null),
        ...fact("Schedule", h("code", null, row.schedule), h("div", { class: "sub" }, row.sentence ?? "", " ", row.timeZone ?? "UTC, as no zone is set")),
        ...fact("Next", row.next ? [when(row.next, row.timeZone), h("div", { class: "sub" }, zoned(row.next, row.timeZone))] : "–"),
        ...fact("Guards", guards), ...fact("Usually", row.usualSeconds === null ? "–" : duration(row.usualSeconds))));
}

function lists(row) {
    const list = (tone, word, texts) => texts?.length ? notice(tone, h("p", { class: "strong" }, word), h("ul", null, ...texts.map((text) => h("li", null, text)))) : null;
    return [list("bad", "Missing", row.missing), list("warn", "To know", row.warnings), list("warn", "Could not be looked at", row.notChecked)];
}

// --- the last result ---

async function lastLines(row, run) {
    const response = await fetchRaw("GET", servicePath(row, "runs", run.name, "logs"), { query: { tail: LAST_LINES } });
    return (await response.text()).trimEnd();
}

function lastResult(row, lines, ofStrip) {
    const run = row.lastRun;
    const log = run ? address(["runs", row.namespace, row.name, run.name]) : "";
    return h("section", { class: "card", "aria-labelledby": "last" }, h("h2", { id: "last" }, "Last result"), h("div", { class: "stack" },
        run ? h("div", null, mark(RESULTS, run.state), " ", run.reason ?? "", " ", h("span", { class: "muted" }, when(run.finished), " · took ", duration(run.durationSeconds)),
            " ", h("a", { href: log }, "log")) : h("span", { class: "muted" }, run === null ? "Never run" : "Not known now"),
        lines ? h("pre", null, lines) : null,
        ...(row.running ?? []).map((name) => h("div", null, h("a", { class: "busy", href: address(["runs", row.namespace, row.name, name]) },
            mark(RESULTS, row.waiting ? "pending" : "running", row.waiting ? `${name} waits: ${row.waiting}` : `${name} runs now`)))),
        ofStrip ? strip({ ...row, strip: ofStrip }, STRIP) : null));
}

// Runs as the list's strip has them: oldest first.
function stripOf(runs) {
    const kept = runs.slice(0, STRIP).reverse();
    return { results: kept.map((run) => run.state), seconds: kept.map((run) => run.durationSeconds ?? null), names: kept.map((run) => run.name),
        kinds: kept.map((run) => run.kind), times: kept.map((run) => run.started ?? run.scheduledFor ?? run.created) };
}

/** Everything about it, asked at once. */
async function ask(row) {
    const id = row.live?.build ?? null, last = row.lastBuild?.build ?? id;
    const nothing = Promise.resolve(null);
    const failed = row.lastRun?.state === "failed" && row.lastRun.log !== "none";
    const [build, deliveries, { runs }, lines] = await Promise.all([
        last ? get(path("builds", last)).catch(() => null) : nothing,
        row.repository ? get(path("deliveries"), { repository: repositoryShort(row.repository), limit: 50 }).catch(() => null) : nothing,
        get(servicePath(row, "runs"), { limit: STRIP }),
        failed ? lastLines(row, row.lastRun).catch(() => null) : nothing]);
    const delivery = deliveries?.deliveries.find((each) => build ? each.build === build.build : each.branch === row.branch) ?? null;
    return { build, delivery, runs, lines };
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const { service } = context;
    let turn = 0;

    async function load() {
        const mine = ++turn;
        const asked = await ask(service.status);
        if (mine !== turn)
            return;
        const row = service.status;
        fill(place, h("div", { class: "columns" },
            h("div", { class: "stack" }, chain(row, asked)),
            h("div", { class: "stack" }, ...lists(row), lastResult(row, asked.lines, asked.runs.length ? stripOf(asked.runs) : null), facts(service.document, row))));
        explainStrips(place);
    }

    const again = () => load().catch((problem) => context.say(problem.message, "bad"));
    await load();
    return { update: ({ kind, data }) => {
        if (kind !== "build" || data.repository === repositoryShort(service.status.repository))
            again();
    }, close: () => turn++ };
}
