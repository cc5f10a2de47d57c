// A service's schedule: what it means, when it comes next, and what comes of missed times.
import { Explanation } from "./explain.js";
import { fill, h } from "./dom.js";
import { duration } from "./format.js";

const SHOWN = 15;

const MEETS = { Forbid: "is left out while another one is active", Allow: "starts beside one that is active",
    Replace: "takes the place of one that is active" };

/** @type {import("./service.js").ShowTab} */
export async function show(place, params, context) {
    const { service } = context;
    const explanation = new Explanation(SHOWN);

    let shown = "";

    async function render() {
        const { document, status } = service;
        const about = JSON.stringify([{ ...document, status: null }, status.state]);
        if (about === shown)
            return;
        shown = about;
        const rules = [`A scheduled run ${MEETS[document.concurrency] ?? ""}; forced runs do not count.`,
            (document.startingDeadlineSeconds ?? null) === null ? "One that is late starts however late."
                : `One that is more than ${duration(document.startingDeadlineSeconds)} late is left out.`,
            `What was missed while it was stopped is ${document.missed === "run" ? "made up for by one run"
                : "skipped"} at its start.`];
        fill(place, h("section", { class: "card" }, h("h2", null, h("code", null, status.schedule)),
            status.state === "started" ? null
                : h("p", { class: "muted" }, "It is not started: none of these times begins a run."),
            explanation.element,
            h("ul", null, rules.map((rule) => h("li", null, rule)))));
        await explanation.ask(status.schedule, status.timeZone);
    }

    await render();
    return { update: ({ kind }) => void (kind === "service" && render()), close: () => explanation.close() };
}
