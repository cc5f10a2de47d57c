// A draft's review: what is missing, and the settings that a new service most needs; then it is started.
import { address, post, servicePath } from "./api.js";
import { ENVIRONMENT, HEALTH, PORTS, RESOURCES } from "./fields.js";
import { busy, fill, h, still } from "./dom.js";
import { Form } from "./form.js";
import { BUILDS, withWarnings } from "./format.js";
import { mark, notice, sentences } from "./marks.js";
import { conflict, save } from "./save.js";

class Review {
    constructor(place, context) {
        this.context = context;
        this.service = context.service;
        this.may = context.may("admin", this.service.status.namespace);
        this.findings = h("div");
        this.formPlace = h("div");
        this.saveButton = h("button", { type: "button", onclick: () => this.act(this.saveButton, () => this.save()) },
            "Save");
        this.startButton = h("button", { type: "button", class: "primary",
            onclick: () => this.act(this.startButton, () => this.start()) }, "Start");
        fill(place, this.findings, this.formPlace,
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
        fill(this.findings, sentences("bad", "Missing before it can start", row.missing),
            sentences("warn", "To know", row.warnings), sentences("warn", "Could not be looked at", row.notChecked),
            build && !row.live ? notice("info", h("p", null, "Its image: ",
                build.build ? h("a", { href: address(["builds", build.build]) }, build.build) : "the build", " ",
                mark(BUILDS, build.state),
                build.detail ? `: ${build.detail}` : "")) : null,
            row.missing?.length ? null : notice("info", h("p", null,
                row.starting ? "It starts as soon as it has its image."
                    : "Nothing is missing. Look through the settings below, then start it.")));
        still(this.startButton, row.starting);
    }

    async act(button, work) {
        await busy(button, async () => {
            this.form.clearErrors();
            try {
                await work();
            } catch (problem) {
                this.form.showProblem(problem, conflict(problem, this.form, () => this.showTheirs()));
            }
        });
        this.render();
    }

    async save() {
        const patch = this.form.difference();
        if (!patch)
            return this.context.say("Nothing is changed");
        await save(this.service.status, patch, this.etag);
        await this.service.reload();
        this.drawForm();
        this.context.say("Saved");
    }

    async start() {
        if (this.form.difference())
            await this.save();
        const row = this.service.status;
        const change = await post(servicePath(row, "start"));
        this.context.say(withWarnings(`${row.namespace}/${row.name}: ${change.before} → ${change.after}.`,
            change.warnings));
        await this.service.reload();
        this.context.go(["services", row.namespace, row.name, "overview"]);
    }

    async showTheirs() {
        try {
            await this.service.reload();
            this.drawForm();
        } catch (problem) {
            this.form.showProblem(problem);
        }
    }

    update({ kind }) {
        if (kind === "service" || kind === "reload")
            this.render();
    }
}

/** @type {import("./service.js").ShowTab} */
export async function show(place, params, context) {
    return new Review(place, context);
}
