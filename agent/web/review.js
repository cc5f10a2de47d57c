// A draft's review: what is missing, and the settings that a new service most needs; then it is started.
import { post, request, servicePath } from "./api.js";
import { ENVIRONMENT, HEALTH, PORTS, RESOURCES } from "./fields.js";
import { fill, h } from "./dom.js";
import { Form } from "./form.js";
import { BUILDS } from "./format.js";
import { mark, notice, problemNotice } from "./marks.js";

const list = (tone, title, texts) => texts?.length
    ? notice(tone, h("p", { class: "strong" }, title), h("ul", null, texts.map((text) => h("li", null, text)))) : null;

class Review {
    constructor(place, context) {
        Object.assign(this, { context, service: context.service });
        this.may = context.may("admin", this.service.status.namespace);
        this.findings = h("div");
        this.formPlace = h("div");
        this.wrong = h("div");
        this.saveButton = h("button", { type: "button", onclick: () => this.act(this.saveButton, () => this.save()) },
            "Save");
        this.startButton = h("button", { type: "button", class: "primary",
            onclick: () => this.act(this.startButton, () => this.start()) }, "Start");
        fill(place, this.findings, this.formPlace, this.wrong,
            this.may ? h("div", { class: "buttons" }, this.saveButton, this.startButton) : null);
        this.drawForm();
        this.render();
    }

    drawForm() {
        this.form = new Form([RESOURCES, ENVIRONMENT, PORTS, ...HEALTH], this.service.document);
        this.etag = this.service.etag;
        fill(this.formPlace, this.form.element);
        if (!this.may)
            for (const input of this.formPlace.querySelectorAll("input, select, textarea, button"))
                input["disabled"] = true;
    }

    render() {
        const row = this.service.status, build = row.lastBuild;
        fill(this.findings, list("bad", "Missing before it can start", row.missing),
            list("warn", "To know", row.warnings), list("warn", "Could not be looked at", row.notChecked),
            build && !row.live ? notice("info", h("p", null, "Its image: ",
                h("a", { href: `#/builds/${build.build}` }, build.build ?? "build"), " ", mark(BUILDS, build.state),
                build.detail ? `: ${build.detail}` : "")) : null,
            row.missing?.length ? null : notice("info", h("p", null,
                row.starting ? "It starts as soon as it has its image."
                    : "Nothing is missing. Look through the settings below, then start it.")));
        this.startButton.disabled = row.starting;
    }

    async act(button, work) {
        this.form.clearErrors();
        fill(this.wrong);
        button.disabled = true;
        try {
            await work();
        } catch (problem) {
            this.form.showErrors(problem.errors ?? []);
            fill(this.wrong, problemNotice(problem));
        }
        button.disabled = false;
    }

    async save() {
        const patch = this.form.difference();
        if (!patch)
            return this.context.say("Nothing is changed");
        await request("PATCH", servicePath(this.service.status), { body: patch,
            headers: { "Content-Type": "application/merge-patch+json",
                ...(this.etag ? { "If-Match": this.etag } : {}) } });
        await this.service.reload();
        this.drawForm();
        this.context.say("Saved");
    }

    async start() {
        if (this.form.difference())
            await this.save();
        const row = this.service.status;
        const change = await post(servicePath(row, "start"));
        this.context.say([`${row.namespace}/${row.name}: ${change.before} → ${change.after}.`,
            ...(change.warnings ?? [])].join(" "));
        await this.service.reload();
        this.context.go(["services", row.namespace, row.name, "overview"]);
    }

    update({ kind }) {
        if (kind === "service" || kind === "reload")
            this.render();
    }
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    return new Review(place, context);
}
