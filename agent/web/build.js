// One build: its commit, how far it came and why, which services have its image, and Kaniko's log.
import { address, get, inTurn, path } from "./api.js";
import { fill, h } from "./dom.js";
import { BUILDS, buildIsOver, duration, fullTime, now, why } from "./format.js";
import { Log } from "./log.js";
import { commit, fact, lasting, mark, notice, when } from "./marks.js";

const AGAIN_MS = 2000;
const LOG_MS = 60000; // after its end: the log may still be read to its own
const STEPS = [["fetch", "fetchSeconds"], ["context", "contextSeconds"], ["build and push", "kanikoSeconds"],
    ["patch", "patchSeconds"]];

function facts(build) {
    const steps = STEPS.filter(([, key]) => build[key] !== null)
        .map(([word, key]) => `${word} ${duration(build[key])}`).join(", ");
    return h("dl", { class: "facts wide" },
        ...fact("Result", mark(BUILDS, build.state),
            why(build) ? ` ${why(build)}` : ""),
        ...fact("Commit", commit(build.commit), " ", h("bdi", null, build.subject ?? ""),
            build.author ? h("span", { class: "muted" }, " · ", h("bdi", null, build.author)) : null),
        ...fact("Of", h("bdi", null, `${build.repository} ${build.branch}`),
            build.attempt > 1 ? ` · attempt ${build.attempt}` : ""),
        ...fact("Began", h("span", null, fullTime(build.created)), " · ", when(build.created)),
        ...fact("Took", buildIsOver(build) ? steps || "–" : [lasting(build.created), steps ? ` · ${steps}` : ""]),
        ...fact("Image", h("code", null, build.image),
            build.digest ? h("div", { class: "sub" }, build.digest) : null),
        ...(build.patches?.length ? fact("Services", h("ul", { class: "plain" }, build.patches.map((patch) =>
            h("li", null, h("a", { href: address(["services", patch.namespace, patch.name]) },
                `${patch.namespace}/${patch.name}`), " ", when(patch.at))))) : []));
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const where = path("builds", params.build), about = h("section", { class: "card", "aria-label": "The build" });
    let build = await get(where), timer = 0, closed = false;
    const link = (line) => address(["builds", params.build], { line });

    const render = () => fill(about, facts(build),
        (build.notes ?? []).map((text) => notice("info", h("p", null, text))),
        build.lastLines?.length ? h("pre", null, build.lastLines.join("\n")) : null);

    const load = inTurn(async () => {
        clearTimeout(timer);
        const before = JSON.stringify(build);
        build = await get(where).catch(() => build); // the mark says when the agent is away
        if (closed)
            return;
        if (JSON.stringify(build) !== before)
            render();
        follow();
    });

    function follow() {
        clearTimeout(timer);
        if (!buildIsOver(build))
            timer = window.setTimeout(load, AGAIN_MS);
    }

    const logPlace = h("div");
    fill(place, h("div", { class: "crumbs" }, h("a", { href: "#/services" }, "Services"), " / Builds"),
        h("div", { class: "title" }, h("h1", null, `Build ${build.build}`)), about, logPlace);
    context.title(`Build ${build.build}`);
    render();
    const log = new Log(logPlace, { where: `${where}/logs`, query: {}, file: `${build.build}.log`, link,
        live: () => !buildIsOver(build) || now() - Date.parse(build.finished) < LOG_MS,
        why: () => buildIsOver(build) ? "There is no log: Kaniko never ran, or its log made room for newer ones."
            : "Waiting for Kaniko to begin …",
        ended: load }, Number(params.query.get("line")) || null);
    follow();
    return { update: ({ kind, data }) =>
        void (kind === "reload" || (kind === "build" && data.build === build.build) ? load() : 0),
        close: () => {
            closed = true;
            clearTimeout(timer);
            log.close();
        } };
}
