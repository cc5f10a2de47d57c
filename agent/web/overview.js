// A service's first tab: how its last push came to run, step by step with times and reasons, and what it is.
import { address, fetchRaw, get, inTurn, path, servicePath } from "./api.js";
import { fill, h } from "./dom.js";
import { BUILDS, RESULTS, buildIsOver, commitShort, duration, goesOn, imageShort, plural, repositoryShort,
    why } from "./format.js";
import { commit, fact, lasting, mark, sentences, when, zoned } from "./marks.js";
import { strip } from "./strip.js";

const STRIP = 30;
const LAST_LINES = 8;
const DELIVERIES = 50; // of the repository: as far back as the push is looked for

const runAddress = (row, name) => address(["runs", row.namespace, row.name, name]);
const sourceOf = (row) => `${repositoryShort(row.repository)} ${row.branch}`;
const sub = (...what) => h("div", { class: "sub" }, ...what);
const muted = (...what) => h("span", { class: "muted" }, ...what);
const joined = (...texts) => texts.filter(Boolean).join(" · ");
const reasonLine = (failed, reason) => reason ? h("div", { class: failed ? "bad" : "sub" }, reason) : null;

// --- the chain ---

/** One step: a symbol, its word, what happened, and when. */
function step(table, key, word, what, at = null) {
    return h("li", null, mark(table, key, ""), h("span", { class: "word" }, word), h("div", { class: "what" }, ...what),
        h("span", { class: "at" }, at));
}

function pushStep(row, build, delivery) {
    if (!build && !delivery) {
        const why = address(["deliveries"], { repository: repositoryShort(row.repository) });
        return step(RESULTS, "pending", "Push", [muted("none received yet; "),
            h("a", { href: why }, "why did nothing happen?")]);
    }
    const how = delivery && `${delivery.event} from ${delivery.forge}`;
    return step(RESULTS, "succeeded", "Push", [
        h("div", null, commit(build?.commit ?? delivery.commit), " ", h("bdi", null, build?.subject ?? "")),
        sub(joined(delivery?.pusher ?? build?.author, how, sourceOf(row))),
    ], when(delivery?.received ?? build?.created));
}

function buildStep(build) {
    const ended = buildIsOver(build), failed = build.state === "failed";
    const parts = [["fetch", build.fetchSeconds], ["context", build.contextSeconds], ["build", build.kanikoSeconds]]
        .filter(([, seconds]) => seconds !== null).map(([word, seconds]) => `${word} ${duration(seconds)}`);
    return step(BUILDS, build.state, "Build", [
        h("div", null, h("a", { href: address(["builds", build.build]) }, build.build), " ",
            BUILDS[build.state]?.word ?? build.state, " ", ended ? null : lasting(build.started ?? build.created)),
        sub(parts.join(", ")),
        failed || !ended ? reasonLine(failed, why(build)) : null,
        build.lastLines?.length ? h("pre", null, build.lastLines.slice(-LAST_LINES).join("\n")) : null,
    ], when(build.finished ?? build.started));
}

function digestStep(build) {
    if (build.digest) {
        const image = `${build.image}@${build.digest}`;
        return step(RESULTS, "succeeded", "Digest", [h("code", { title: image }, imageShort(image))]);
    }
    return build.state === "failed" ? step(RESULTS, "missed", "Digest", [muted("no image was made")])
        : step(RESULTS, "pending", "Digest", [muted("not pushed yet")]);
}

function patchStep(row, build) {
    const patch = build.patches?.find((each) => each.namespace === row.namespace && each.name === row.name);
    if (patch) {
        const before = patch.oldImage ? imageShort(patch.oldImage) : "none";
        return step(RESULTS, "succeeded", "Patched", [h("div", null, "the CronJob's image"),
            h("div", { class: "sub", title: patch.oldImage }, `${before} → ${imageShort(patch.newImage)}`)],
        when(patch.at));
    }
    if (row.pinned)
        return step(RESULTS, "missed", "Patched", [muted("pinned: it does not follow its branch")]);
    if (build.state === "failed")
        return step(RESULTS, "missed", "Patched", [muted("not patched: the build failed")]);
    return buildIsOver(build)
        ? step(RESULTS, "missed", "Patched", [muted("not patched: ", build.detail ?? build.reason ?? build.state)])
        : step(RESULTS, "pending", "Patched", [muted("not patched yet")]);
}

// The first run of what is live; of an image that was given, the last.
function runOf(row, runs) {
    const there = runs.filter((run) => run.name);
    return row.live ? there.filter((run) => run.commit === row.live.commit).at(-1) : there[0];
}

function runStep(row, runs) {
    const run = runOf(row, runs);
    if (!run)
        return step(RESULTS, "pending", "Run", [
            h("div", null, row.live ? `${commitShort(row.live.commit)} has not run yet` : "never run"),
            row.next ? sub("next ", when(row.next, row.timeZone), ", ", zoned(row.next, row.timeZone)) : null]);
    const took = run.durationSeconds !== null && `took ${duration(run.durationSeconds)}`;
    return step(RESULTS, run.state, row.live ? "First run" : "Last run", [
        h("div", null, h("a", { href: runAddress(row, run.name) }, run.name), " ",
            RESULTS[run.state]?.word ?? run.state, " ", goesOn(run) && run.started ? lasting(run.started) : null),
        sub(joined(run.kind, run.requestedBy && `by ${run.requestedBy}`, took)),
        reasonLine(run.state === "failed", run.reason),
    ], when(run.finished ?? run.started ?? run.created));
}

function chain(row, { build, delivery, runs }) {
    const before = !row.repository
        ? [step(RESULTS, "succeeded", "Image", [h("code", { title: row.image }, imageShort(row.image))])]
        : [pushStep(row, build, delivery), ...(build ? [buildStep(build), digestStep(build), patchStep(row, build)]
            : [step(BUILDS, "waiting", "Build", [muted("none yet")])])];
    return h("section", { class: "card", "aria-labelledby": "chain" },
        h("h2", { id: "chain" }, row.repository ? "From push to run" : "From image to run"),
        h("ol", { class: "chain" }, ...before, runStep(row, runs)));
}

// --- what it is ---

function guardsOf(document) {
    const limits = document.resources?.limits ?? {};
    return [document.concurrency, plural(document.restarts, "restart"),
        document.maxDurationSeconds ? `at most ${duration(document.maxDurationSeconds)}` : "no time limit",
        limits.memory && `memory ${limits.memory}`, limits.cpu && `cpu ${limits.cpu}`].filter(Boolean).join(", ");
}

function facts(document, row) {
    const zone = row.timeZone ?? "UTC, as no zone is set";
    return h("section", { class: "card", "aria-labelledby": "facts" }, h("h2", { id: "facts" }, "Service"),
        h("dl", { class: "facts" },
            fact("Project", h("bdi", null, row.project ?? "–")),
            fact("Source", h("bdi", null, row.repository ? sourceOf(row) : row.image),
                row.repository ? sub(row.dockerfile) : null),
            fact("Schedule", h("code", null, row.schedule), sub(row.sentence ?? "", " ", zone)),
            fact("Next", when(row.next, row.timeZone), row.next ? sub(zoned(row.next, row.timeZone)) : null),
            fact("Guards", document ? guardsOf(document) : "…"),
            fact("Usually", duration(row.usualSeconds))));
}

// --- the last result ---

// What a failed run wrote last. Kept, since it changes no more.
async function lastLines(row, kept) {
    const run = row.lastRun;
    if (run?.state !== "failed" || run.log === "none")
        return null;
    if (kept.run === run.name)
        return kept.lines;
    const response = await fetchRaw("GET", servicePath(row, "runs", run.name, "logs"), { query: { tail: LAST_LINES } });
    const lines = (await response.text()).trimEnd();
    if (run.log !== "following")
        Object.assign(kept, { run: run.name, lines });
    return lines;
}

function resultLine(row) {
    const run = row.lastRun;
    if (!run)
        return muted(run === null ? "Never run" : "Not known now");
    return h("p", null, mark(RESULTS, run.state), " ", run.reason ?? "", " ",
        muted(when(run.finished), " · took ", duration(run.durationSeconds)), " ",
        h("a", { href: runAddress(row, run.name) }, "log"));
}

function runningLine(row, name) {
    const says = row.waiting ? `${name} waits: ${row.waiting}` : `${name} runs now`;
    return h("div", null, h("a", { class: "busy", href: runAddress(row, name) },
        mark(RESULTS, row.waiting ? "pending" : "running", says)));
}

// Runs as the list's strip has them: oldest first.
function stripOf(runs) {
    const kept = runs.slice(0, STRIP).reverse();
    const each = (pick) => kept.map(pick);
    return { results: each((run) => run.state), seconds: each((run) => run.durationSeconds ?? null),
        names: each((run) => run.name), kinds: each((run) => run.kind),
        times: each((run) => run.started ?? run.scheduledFor ?? run.created) };
}

function lastResult(row, lines, runs) {
    return h("section", { class: "card", "aria-labelledby": "last" }, h("h2", { id: "last" }, "Last result"),
        h("div", { class: "stack" }, resultLine(row), lines ? h("pre", null, lines) : null,
            (row.running ?? []).map((name) => runningLine(row, name)),
            runs.length ? strip({ ...row, strip: stripOf(runs) }, STRIP) : null));
}

// --- the view ---

/** The build that led to what it has or is to have; before the agent has said which, the branch's newest. */
async function lastBuild(row) {
    if (!row.repository)
        return null;
    const newest = async () => (await get(path("builds"), { repository: repositoryShort(row.repository),
        branch: row.branch, limit: 1 })).builds[0]?.build;
    const name = row.lastBuild?.build ?? await newest();
    return name ? get(path("builds", name)) : null;
}

/** All that the chain tells, asked at once. What cannot be had is left out. */
async function ask(row) {
    const ofRepository = { repository: repositoryShort(row.repository), limit: DELIVERIES };
    const [build, { deliveries }, { runs }] = await Promise.all([
        lastBuild(row).catch(() => null),
        row.repository ? get(path("deliveries"), ofRepository).catch(() => ({ deliveries: [] })) : { deliveries: [] },
        get(servicePath(row, "runs"), { limit: STRIP })]);
    const delivery = deliveries.find((each) => build ? each.build === build.build : each.branch === row.branch);
    return { build, delivery, runs };
}

/** @type {import("./service.js").ShowTab} */
export async function show(place, params, context) {
    const { service } = context;
    const kept = { run: "", lines: "" };
    let closed = false;

    function render(row, asked, lines) {
        fill(place, h("div", { class: "columns" },
            h("div", { class: "stack" }, chain(row, asked)),
            h("div", { class: "stack" }, sentences("bad", "Missing", row.missing),
                sentences("warn", "To know", row.warnings),
                sentences("warn", "Could not be looked at", row.notChecked), lastResult(row, lines, asked.runs),
                facts(service.document, row))));
    }

    const load = inTurn(async () => {
        const row = service.status;
        const asked = await ask(row);
        if (closed)
            return;
        render(service.status, asked, kept.run === row.lastRun?.name ? kept.lines : null);
        lastLines(row, kept).then((lines) => lines && !closed && render(service.status, asked, lines))
            .catch(() => { /* there is a link to the log */ });
    });

    await load();
    return { update: ({ kind, data }) => {
        if (kind !== "build" || data.repository === repositoryShort(service.status.repository))
            load().catch((problem) => context.say(problem.message, "bad"));
    }, close: () => closed = true };
}
