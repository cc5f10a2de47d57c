// A new service: where its image comes from, and when it runs. It becomes a draft, whose page is the review.
import { post, path } from "./api.js";
import { Explanation } from "./explain.js";
import { CONTAINER, CRON, GIT, IDENTITY, IMAGE } from "./fields.js";
import { fill, h, submitting } from "./dom.js";
import { Form } from "./form.js";
import { withWarnings } from "./format.js";
import { notice } from "./marks.js";

const SOURCES = [
    ["image", "Container image", "An image that is there already."],
    ["git", "Git repository", "Its branch is built now, and after each push."],
];

function sourceChoice(value, change) {
    return h("fieldset", null, h("legend", null, "Source"),
        h("div", { class: "fields" }, SOURCES.map(([key, word, meaning]) => h("label", { class: "choice" },
            h("input", { type: "radio", name: "source", value: key, checked: key === value,
                onchange: () => change(key) }),
            h("span", null, word, h("small", null, meaning))))));
}

const COMMON = { "/source/git/branch": "main" }; // filled in from the start

class Create {
    constructor(place, params, context) {
        this.context = context;
        this.source = params.query.get("source") === "git" ? "git" : "image";
        this.explanation = new Explanation(5);
        this.form = new Form([IDENTITY, IMAGE, GIT, CONTAINER, CRON], {}, () => this.explain());
        for (const [at, value] of Object.entries(COMMON))
            this.form.set(at, value);
        this.form.fields.get("/schedule").element.append(this.explanation.element);
        this.button = h("button", { class: "primary" }, "Create draft");
        this.form.element.firstElementChild.after(sourceChoice(this.source, (key) => this.choose(key)));
        fill(place, h("div", { class: "title" }, h("h1", null, "New service")),
            h("p", { class: "muted" }, "It becomes a draft: nothing runs until you have reviewed and started it."),
            h("form", { novalidate: true, onsubmit: submitting(this.button, () => this.create()) }, this.form.element,
            h("div", { class: "buttons" }, h("a", { class: "button", href: "#/services" }, "Cancel"), this.button)));
        this.choose(this.source);
    }

    choose(source) {
        this.source = source;
        const other = source === "git" ? IMAGE : GIT;
        const hidden = new Set(other.fields.map(({ at }) => at));
        this.form.showOnly((at) => !hidden.has(at));
        this.context.setQuery({ source });
    }

    explain() {
        this.explanation.show(this.form.get("/schedule"), this.form.get("/timeZone"));
    }

    async create() {
        this.form.clearErrors();
        try {
            const made = await post(path("services"), this.form.read());
            this.context.say(withWarnings(`${made.namespace}/${made.name} is a draft.`, made.warnings));
            this.context.go(["services", made.namespace, made.name, "review"]);
        } catch (problem) {
            this.form.showProblem(problem);
        }
    }

    close() {
        this.explanation.close();
    }
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    if (!context.may("admin"))
        return void fill(place, h("h1", null, "New service"),
            notice("info", h("p", null, "Your token may look at services, and not make them.")));
    return new Create(place, params, context);
}
