// Forms of a service's document: each field knows where in the document its value stands (a JSON Pointer), so that
// what the agent finds wrong is shown at its field, and a change is sent as the difference alone.
import { add, fill, h } from "./dom.js";
import { pairs } from "./format.js";
import { problemNotice } from "./marks.js";

/**
 * @typedef {object} Field
 * @property {string} at  JSON Pointer of its value
 * @property {string} label
 * @property {"text"|"port"|"number"|"choice"|"lines"|"map"|"bool"|"rows"} [kind]  text when absent
 * @property {string} [help]
 * @property {string} [hint]      placeholder
 * @property {string[]} [words]   of a choice
 * @property {number} [min]
 * @property {number} [max]
 * @property {boolean} [needed]
 * @property {Column[]} [columns] of rows
 * @property {(row: any) => any} [write]  a row's object of its columns' texts, for rows
 * @property {(item: any) => any} [read]  and back
 * @typedef {{title: string, note?: string, check?: string, fields: Field[]}} Section  `check`: of a container's health
 * @typedef {{key: string, label: string, words?: string[], hint?: string, narrow?: boolean}} Column
 */

const keysOf = (pointer) => pointer.slice(1).split("/").map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));

/** What stands in a document at a pointer; undefined: nothing. */
function valueAt(document, pointer) {
    return keysOf(pointer).reduce((value, key) => value?.[key], document);
}

/** Puts it there, with the objects around it. */
function putAt(document, pointer, value) {
    const keys = keysOf(pointer), last = keys.pop();
    let place = document;
    for (const key of keys)
        place = place[key] ??= {};
    place[last] = value;
    return document;
}

const same = (a, b) => JSON.stringify(a ?? null) === JSON.stringify(b ?? null);

let ids = 0;

// --- one field ---

// A text of a list on a line of its own: as JSON when it would not come back the same.
const toLine = (text) => /[\n\r]|^"|^\s*$/.test(text) ? JSON.stringify(text) : text;

function fromLine(line) {
    try {
        return line.startsWith('"') ? JSON.parse(line) : line;
    } catch { // as it was typed
        return line;
    }
}

// How each kind is shown, read and written. `read` gives undefined for what is not set.
const KINDS = {
    text: {
        make: (field) => h("input", { type: "text", placeholder: field.hint, spellcheck: "false",
            autocomplete: "off" }),
        read: (input) => input.value.trim() || undefined,
        write: (input, value) => input.value = value ?? "",
    },
    port: { // a number or a name
        make: (field) => KINDS.text.make(field),
        read: (input) => /^\d+$/.test(input.value.trim()) ? Number(input.value) : input.value.trim() || undefined,
        write: (input, value) => input.value = value ?? "",
    },
    number: {
        make: (field) => h("input", { type: "number", min: field.min, max: field.max, placeholder: field.hint }),
        read: (input) => {
            if (input.validity.badInput)
                throw new Error("must be a number");
            return input.value === "" ? undefined : Number(input.value);
        },
        write: (input, value) => input.value = value ?? "",
    },
    choice: {
        make: (field) => h("select", null, field.words.map((word) => h("option", { value: word }, word || "not set"))),
        read: (input) => input.value || undefined,
        write: (input, value) => input.value = value ?? input.options[0].value,
    },
    bool: {
        make: () => h("select", null, ["", "true", "false"].map((word) =>
            h("option", { value: word }, { "": "not set", true: "yes", false: "no" }[word]))),
        read: (input) => input.value === "" ? undefined : input.value === "true",
        write: (input, value) => input.value = value === undefined || value === null ? "" : String(value),
    },
    lines: {
        make: (field) => h("textarea", { rows: 2, placeholder: field.hint, spellcheck: "false" }),
        read: (input) => input.value.trim() ? input.value.replace(/\n+$/, "").split("\n").map(fromLine) : undefined,
        write: (input, value) => input.value = (value ?? []).map(toLine).join("\n"),
    },
    map: {
        make: (field) => h("textarea", { rows: 2, placeholder: field.hint, spellcheck: "false" }),
        read: (input) => input.value.trim() ? pairs(input.value) : undefined,
        write: (input, value) => input.value = Object.entries(value ?? {})
            .map(([key, text]) => `${key}=${text}`).join("\n"),
    },
};

/** A list of objects as rows of inputs, to which more can be added. */
class Rows {
    constructor(field, changed) {
        this.field = field;
        this.changed = changed;
        this.box = h("div", { class: "rows" });
        this.element = h("div", { role: "group" }, this.box,
            h("button", { type: "button", class: "small", onclick: () => this.addRow({}, true) },
                `Add ${field.label.toLowerCase()}`));
    }

    cell(column, row) {
        const input = column.words
            ? h("select", null, column.words.map((word) => h("option", { value: word }, word)))
            : h("input", { type: "text", placeholder: column.hint, spellcheck: "false" });
        input.value = row[column.key] ?? column.words?.[0] ?? "";
        input["column"] = column.key;
        input.setAttribute("aria-label", column.label);
        return h("div", { class: column.narrow ? "narrow" : null }, input);
    }

    addRow(row, focus = false) {
        const element = h("div", { class: "row" }, this.field.columns.map((column) => this.cell(column, row)),
            h("button", { type: "button", class: "quiet", "aria-label": "Remove", onclick: () => {
                element.remove();
                this.element.lastElementChild.focus();
                this.changed();
            } }, "✕"));
        this.box.append(element);
        if (focus)
            element.querySelector("input")?.focus();
        return element;
    }

    texts(element) {
        return Object.fromEntries([...element.querySelectorAll("input, select")].map((input) =>
            [input["column"], input.value.trim()]));
    }

    // What nobody has touched stays as it was: not all of it need be shown here.
    item(element) {
        const texts = this.texts(element), { from } = element;
        return from && same(texts, from.texts) ? from.item : this.field.write(texts);
    }

    get value() {
        const items = [...this.box.children].map((element) => this.item(element)).filter((item) => item !== null);
        return items.length ? items : undefined;
    }

    set value(items) {
        fill(this.box);
        for (const item of items ?? []) {
            const element = this.addRow(this.field.read(item));
            element.from = { item, texts: this.texts(element) };
        }
    }
}

// --- the form ---

export class Form {
    /** @param {Section[]} sections @param {any} document  what is filled in */
    constructor(sections, document, changed = () => {}) {
        this.fields = new Map();
        this.changed = changed;
        this.rest = h("div");
        this.element = h("div", { class: "form", oninput: () => changed() },
            sections.map((section) => this.section(section)), this.rest);
        this.fillIn(document);
    }

    /** @param {Section} section */
    section({ title, fields, note }) {
        const element = h("fieldset", null, h("legend", null, title), note ? h("p", { class: "sub" }, note) : null,
            h("div", { class: "fields" }, fields.map((field) => this.field(field))));
        element["pointers"] = fields.map(({ at }) => at);
        return element;
    }

    field(field) {
        const id = `f${++ids}`, wrong = h("p", { class: "wrong", id: `${id}-wrong` });
        const help = field.help ? h("small", { class: "muted", id: `${id}-help` }, field.help) : null;
        const kind = KINDS[field.kind ?? "text"];
        const rows = field.kind === "rows" ? new Rows(field, this.changed) : null;
        const input = rows ? rows.element : kind.make(field);
        input.id = id;
        input.setAttribute("aria-describedby", [help ? `${id}-help` : "", `${id}-wrong`].join(" ").trim());
        if (rows)
            input.setAttribute("aria-label", field.label);
        const label = rows ? h("span", { class: "label" }, field.label) : h("label", { for: id }, field.label);
        const needed = field.needed ? h("small", { class: "muted" }, " needed") : null;
        const element = h("div", { class: `field${rows ? " whole" : ""}` }, h("div", null, label, needed), input,
            help, wrong);
        this.fields.set(field.at, { field, element, input, wrong,
            read: rows ? () => rows.value : () => kind.read(input),
            write: rows ? (value) => rows.value = value : (value) => kind.write(input, value) });
        return element;
    }

    fillIn(document) {
        this.document = document;
        for (const [at, entry] of this.fields) {
            entry.write(valueAt(document, at));
            entry.before = entry.read();
        }
    }

    get(at) {
        return this.fields.get(at)?.read();
    }

    set(at, value) {
        this.fields.get(at)?.write(value);
        this.changed();
    }

    /** Hides fields that do not matter now; they are not read then. */
    showOnly(wanted) {
        for (const [at, { element }] of this.fields)
            element.hidden = !wanted(at);
        for (const section of this.element.querySelectorAll("fieldset"))
            section.hidden = section["pointers"] ? !section["pointers"].some(wanted) : false;
    }

    /** Everything that is filled in, into `document`. What cannot be read is thrown, as the agent would say it. */
    read(document = {}) {
        for (const [at, entry] of this.fields) {
            if (entry.element.hidden)
                continue;
            const value = this.readField(at, entry);
            if (value !== undefined)
                putAt(document, at, value);
        }
        return document;
    }

    readField(at, entry) {
        try {
            return entry.read();
        } catch (error) {
            throw Object.assign(error, { errors: [{ pointer: at, detail: error.message }] });
        }
    }

    /** A JSON Merge Patch of what differs from what was filled in; null: nothing does. */
    difference() {
        let patch = null;
        for (const [at, entry] of this.fields) {
            if (entry.element.hidden)
                continue;
            const value = this.readField(at, entry);
            if (!same(value, entry.before))
                patch = putAt(patch ?? {}, at, value ?? null);
        }
        return patch;
    }

    /** What another document has that differs from the one that was filled in, and what stands here. */
    changedIn(document) {
        return [...this.fields].filter(([at]) => !same(valueAt(document, at), valueAt(this.document, at)))
            .map(([at, entry]) => ({ label: entry.field.label, yours: this.readField(at, entry),
                theirs: valueAt(document, at) }));
    }

    clearErrors() {
        for (const { input, wrong } of this.fields.values()) {
            fill(wrong);
            input.removeAttribute("aria-invalid");
        }
        fill(this.rest);
    }

    /** What went wrong: each fault at its field, or at the nearest above it; the rest at the end, or as `told`. The
     *  first field gets the focus. */
    showProblem(problem, told = null) {
        this.clearErrors();
        const others = [];
        let first = null;
        for (const { pointer, detail } of problem.errors ?? []) {
            const at = [...this.fields.keys()].find((key) => pointer === key || pointer.startsWith(`${key}/`));
            const entry = at && this.fields.get(at);
            if (!entry || entry.element.hidden) {
                others.push({ pointer, detail });
                continue;
            }
            add(entry.wrong, entry.wrong.hasChildNodes() ? " " : "", detail);
            entry.input.setAttribute("aria-invalid", "true");
            first ??= entry.input.matches("input, select, textarea") ? entry.input
                : entry.input.querySelector("input, button");
        }
        const { message, status, missing } = problem;
        fill(this.rest, told ?? problemNotice({ message, status, missing, errors: others }));
        first?.focus();
    }
}
