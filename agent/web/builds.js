// The image builds of a service's branch.
import { address, get, path } from "./api.js";
import { fill, h } from "./dom.js";
import { BUILDS, buildIsOver, duration, numberOf, repositoryShort, why } from "./format.js";
import { commit, empty, lasting, mark, when } from "./marks.js";
import { Pages } from "./pages.js";

function row(build) {
    const reason = why(build);
    return h("tr", null,
        h("th", { scope: "row" }, h("a", { href: address(["builds", build.build]) }, build.build)),
        h("td", null, mark(BUILDS, build.state),
            reason ? h("div", { class: build.state === "failed" ? "bad sub" : "sub" }, reason) : null),
        h("td", null, commit(build.commit), " ", h("bdi", null, build.subject ?? ""),
            build.author ? h("div", { class: "sub" }, h("bdi", null, build.author)) : null),
        h("td", null, when(build.created)),
        h("td", null, buildIsOver(build) ? duration(build.kanikoSeconds) : lasting(build.created)),
        h("td", null, build.services ? String(build.services) : "–"));
}

/** @type {import("./service.js").ShowTab} */
export async function show(place, params, context) {
    const { status } = context.service;
    const query = { repository: repositoryShort(status.repository), branch: status.branch };
    const pages = new Pages({ caption: "Builds, newest first", older: "Older builds", key: (build) => build.build, row,
        columns: ["Build", "Result", "Commit", "When", "Took", "Services"],
        ask: async (limit, last) =>
            (await get(path("builds"), { ...query, limit, before: last && numberOf(last) })).builds,
        none: () => empty("No build yet", h("p", null, "The branch's head is built after a push, or by Build now.")),
        say: context.say });
    fill(place, pages.element);
    await pages.load();
    return { update: ({ kind, data }) => {
        if (kind === "reload" || (kind === "build" && data.repository === query.repository &&
            data.branch === query.branch))
            pages.refresh();
    } };
}
