// Changes of a service's document: what differs alone is sent, and taken only if nobody else has changed it meanwhile.
import { request, servicePath } from "./api.js";
import { h } from "./dom.js";
import { notice, table } from "./marks.js";

/** Sends a JSON Merge Patch. @param {any} service @param {any} patch @param {string} etag  of what it differs from */
export function save(service, patch, etag) {
    return request("PATCH", servicePath(service), { body: patch,
        headers: { "Content-Type": "application/merge-patch+json", "If-Match": etag } });
}

const shown = (value) => h("td", null, value === undefined || value === null ? "–" : JSON.stringify(value));

/** Somebody was quicker: what they changed, and the way to it by `again`. Null for any other problem. */
export function conflict(problem, form, again) {
    if (problem.reason !== "changed")
        return null;
    const rows = form.changedIn(problem.body.current).map(({ label, yours, theirs }) =>
        h("tr", null, h("th", { scope: "row" }, label), shown(yours), shown(theirs)));
    return h("div", { role: "alert" }, notice("bad", h("p", null, problem.message),
        rows.length ? table("What they changed", ["Setting", "Here", "Theirs"], rows) : null,
        h("button", { type: "button", onclick: again }, "Show theirs")));
}
