// A service's settings: all that its document says, in forms, and the rest of it as JSON. What is sent is the
// difference alone, and only if nobody else has changed the service meanwhile.
import { Explanation } from "./explain.js";
import { CONTAINER, CRON, ENVIRONMENT, GIT, HEALTH, IDENTITY, IMAGE, PORTS, RESOURCES, TIMING } from "./fields.js";
import { fill, h, submitting } from "./dom.js";
import { Form } from "./form.js";
import { withWarnings } from "./format.js";
import { notice } from "./marks.js";
import { conflict, save } from "./save.js";

const REST = ["security", "volumes", "podLabels", "nodeSelector", "serviceAccount"]; // shown as JSON

/** Its sections: of source and project only what may be changed. */
function sectionsOf(document) {
    const project = { ...IDENTITY, fields: IDENTITY.fields.filter(({ at }) => at === "/project") };
    return [project, document.source?.git ? GIT : IMAGE, CONTAINER, CRON, TIMING, RESOURCES, ENVIRONMENT, PORTS,
        ...HEALTH];
}

const restOf = (document) => Object.fromEntries(REST.filter((key) => document[key] !== undefined)
    .map((key) => [key, document[key]]));

function readRest(text, before) {
    const rest = text.trim() ? JSON.parse(text) : {};
    const unknown = Object.keys(rest).find((key) => !REST.includes(key));
    if (unknown)
        throw new Error(`"${unknown}" does not belong here: only ${REST.join(", ")}`);
    const changed = REST.filter((key) => JSON.stringify(rest[key]) !== JSON.stringify(before[key]));
    return Object.fromEntries(changed.map((key) => [key, rest[key] ?? null]));
}

class Settings {
    constructor(place, context) {
        this.place = place;
        this.context = context;
        this.service = context.service;
        this.explanation = new Explanation(3);
        this.draw();
    }

    draw() {
        const { document } = this.service;
        const may = this.context.may("admin", document.namespace);
        this.etag = this.service.etag;
        this.before = document;
        this.form = new Form(sectionsOf(document), document, () => this.explain());
        this.form.fields.get("/schedule").element.append(this.explanation.element);
        this.rest = h("textarea", { rows: 8, spellcheck: "false", "aria-label": "Further settings as JSON" });
        this.rest.value = JSON.stringify(restOf(document), null, 2);
        const button = h("button", { class: "primary" }, "Save changes");
        fill(this.place, h("form", { novalidate: true, onsubmit: submitting(button, () => this.save()) },
        this.form.element,
        h("details", null, h("summary", null, "Security, volumes, labels, nodes and account, as JSON"), this.rest),
        may ? h("div", { class: "buttons" },
            h("button", { type: "button", onclick: () => this.draw() }, "Undo"), button)
            : notice("info", h("p", null, "Your token may look at these settings, and not change them."))));
        if (!may)
            for (const input of this.place.querySelectorAll("input, select, textarea, .rows button, .field button"))
                input["disabled"] = true;
        this.explain();
    }

    explain() {
        this.explanation.show(this.form.get("/schedule"), this.form.get("/timeZone"));
    }

    patch() {
        const patch = { ...this.form.difference(), ...readRest(this.rest.value, this.before) };
        return Object.keys(patch).length ? patch : null;
    }

    async save() {
        this.form.clearErrors();
        try {
            const patch = this.patch();
            if (!patch)
                return this.context.say("Nothing is changed");
            const answer = await save(this.service.status, patch, this.etag);
            await this.service.reload();
            this.draw(); // before it is said: whoever hears it may type on
            this.context.say(withWarnings("Saved.", answer.warnings));
        } catch (problem) {
            this.form.showProblem(problem, conflict(problem, this.form, () => this.showTheirs()));
        }
    }

    async showTheirs() {
        try {
            await this.service.reload();
            this.draw();
        } catch (problem) {
            this.form.showProblem(problem);
        }
    }

    close() {
        this.explanation.close();
    }
}

/** @type {import("./service.js").ShowTab} */
export async function show(place, params, context) {
    return new Settings(place, context);
}
