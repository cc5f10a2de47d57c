// The image builds of a service's branch.
import { address, get, path } from "./api.js";
import { fill, h, keyed } from "./dom.js";
import { BUILDS, duration, repositoryShort } from "./format.js";
import { commit, empty, lasting, mark, when } from "./marks.js";

const PAGE = 50;
const ENDED = ["done", "failed", "superseded", "filtered"];

const numberOf = (build) => Number(build.build.slice(2));

function row(build) {
    const over = ENDED.includes(build.state);
    const why = [build.reason, build.detail].filter(Boolean).join(": ");
    return h("tr", null,
        h("th", { scope: "row" }, h("a", { href: address(["builds", build.build]) }, build.build)),
        h("td", null, mark(BUILDS, build.state),
            why ? h("div", { class: build.state === "failed" ? "bad sub" : "sub" }, why) : null),
        h("td", null, commit(build.commit), " ", h("bdi", null, build.subject ?? ""),
            build.author ? h("div", { class: "sub" }, h("bdi", null, build.author)) : null),
        h("td", null, when(build.created)),
        h("td", null, over ? duration(build.kanikoSeconds) : lasting(build.created)),
        h("td", null, build.services ? String(build.services) : "–"));
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const { status } = context.service;
    const query = { repository: repositoryShort(status.repository), branch: status.branch, limit: PAGE };
    const body = h("tbody"), none = h("div"), table = h("div", { class: "scroll" }, h("table", { class: "list" },
        h("caption", { class: "unseen" }, "Builds, newest first"),
        h("thead", null, h("tr", null, ["Build", "Result", "Commit", "When", "Took", "Services"].map((word) =>
            h("th", { scope: "col" }, word)))), body));
    const older = h("button", { type: "button", hidden: true, onclick: () => load(true) }, "Older builds");
    let builds = [];

    async function load(more = false) {
        const answer = await get(path("builds"), { ...query, before: more ? numberOf(builds.at(-1)) : null });
        builds = more ? [...builds, ...answer.builds] : answer.builds;
        keyed(body, builds, (build) => build.build, row);
        older.hidden = answer.builds.length < PAGE;
        table.hidden = builds.length === 0;
        fill(none, builds.length ? null : empty("No build yet",
            h("p", null, "The branch's head is built after a push, or by Build now.")));
    }

    fill(place, table, none, h("p", null, older));
    await load();
    return { update: ({ kind, data }) => {
        if (kind === "reload" || (kind === "build" && data.repository === query.repository &&
            data.branch === query.branch))
            load().catch((problem) => context.say(problem.message, "bad"));
    } };
}
