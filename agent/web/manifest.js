// A service's CronJob as it is in the cluster, as YAML.
import { fetchRaw, inTurn, servicePath } from "./api.js";
import { fill, h } from "./dom.js";

/** @type {import("./service.js").ShowTab} */
export async function show(place, params, context) {
    const where = servicePath(params, "manifest");
    let shown = "";
    const text = h("pre", { class: "yaml", tabindex: "0", "aria-label": "The CronJob as YAML" });
    const load = inTurn(async () => {
        const yaml = await (await fetchRaw("GET", where)).text();
        if (yaml !== shown) // else somebody may have selected some of it
            fill(text, shown = yaml);
    });
    await load();
    const copy = h("button", { type: "button", onclick: async () => {
        try {
            await navigator.clipboard.writeText(text.textContent);
            context.say("Copied");
        } catch { // not over plain HTTP from another machine
            getSelection()?.selectAllChildren(text);
            context.say("Selected: copy it with the keyboard");
        }
    } }, "Copy");
    fill(place, h("div", { class: "bar" },
        h("p", { class: "muted" }, "As in the cluster now, without what Kubernetes notes about fields."),
        h("span", { class: "space" }), copy,
        h("a", { class: "button", href: where, download: `${params.namespace}-${params.name}.yaml` }, "Download")),
    text);
    return { update: ({ kind }) => {
        if (kind === "service" || kind === "reload")
            load().catch((problem) => context.say(problem.message, "bad"));
    } };
}
