// Dialogs, all of the browser's own <dialog>: Escape closes them, focus stays within and returns. `confirm` asks
// before something is done; `forceRun` is the way by which every view forces a run.
import { address, post, servicePath } from "./api.js";
import { busy, fill, h } from "./dom.js";
import { commitShort, imageShort, pairs, withWarnings } from "./format.js";
import { notice, problemNotice, zoned, when } from "./marks.js";

let dialogs = 0;

/**
 * Opens one. `act` is called by the button or Enter; while it works the button waits, what it throws is shown, and
 * when it is through the dialog closes.
 * @param {{title: string, body?: any[], verb?: string, danger?: boolean, act?: () => Promise<any>}} what
 * @returns {Promise<boolean>} whether it was done; false when it was closed without
 */
export function open({ title, body = [], verb = "Close", danger = false, act }) {
    const id = `dialog-${++dialogs}`, wrong = h("div");
    const button = h("button", { class: danger ? "danger" : "primary", autofocus: !danger }, verb);
    const dialog = h("dialog", { "aria-labelledby": id },
        h("form", { method: "dialog" }, h("h2", { id }, title), h("div", { class: "body" }, ...body), wrong,
            h("div", { class: "buttons" }, act ? h("button", { type: "button", autofocus: danger,
                onclick: () => dialog.close() }, "Cancel") : null, button)));
    let done = false;
    dialog.addEventListener("submit", (event) => {
        if (!act)
            return;
        event.preventDefault();
        busy(button, async () => {
            fill(wrong);
            try {
                await act();
                done = true;
                dialog.close();
            } catch (problem) {
                fill(wrong, problemNotice(problem));
            }
        });
    });
    document.body.append(dialog);
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", () => {
        dialog.remove();
        resolve(done);
    }));
}

/** Asks, does, and says so. @param {Parameters<typeof open>[0]} what */
export const confirm = (what) => open(what);

/** The keys, and where more is written. */
export function helpDialog() {
    const keys = { "/": "search", "?": "this help", Esc: "close a dialog", Tab: "go on; everything can be reached" };
    open({ title: "Keys", body: [
        h("dl", { class: "keys" }, ...Object.entries(keys).map(([key, word]) =>
            [h("dt", null, h("kbd", null, key)), h("dd", null, word)])),
        h("p", { class: "muted" }, "What this page does, the command line does too: ",
            h("code", null, "cronwright --help"),
            ". Both use the API that ", h("a", { href: "openapi.json" }, "openapi.json"), " describes.")] });
}

// --- roll back ---

/** Whether the image at `at` of those of a service is one to go back to: another than the present one, of a build. */
export function isEarlier(images, at) {
    return Boolean(images[at].build) && images[at].image !== images.find(({ live }) => live)?.image;
}

function choiceOfImages(images) {
    return h("fieldset", null, h("legend", null, "Go back to"), images.map((image, at) =>
        h("label", { class: "choice" },
            h("input", { type: "radio", name: "to", value: image.build, checked: at === 0 }),
            h("span", null, h("code", null, commitShort(image.commit)), " ", h("bdi", null, image.subject ?? ""),
                h("small", null, [image.build, image.author, imageShort(image.image)].filter(Boolean).join(" · "))))));
}

/**
 * Asks to which of these images, the first one if nothing else is chosen, and pins it.
 * @param {any[]} images @param {import("./main.js").Context} context @param {import("./service.js").Service} service
 */
export function rollBack(images, context, service) {
    const row = service.status, name = `${row.namespace}/${row.name}`;
    if (images.length === 0)
        return open({ title: "Nothing to go back to", body: [h("p", null, "This service has had one image only. ",
            "Images that it had are kept here from the second one on.")] });
    const choice = choiceOfImages(images);
    return confirm({ title: `Roll ${name} back?`, verb: "Roll back", body: [choice,
        h("p", { class: "muted" }, "It is pinned to that image: pushes are not deployed to it until you let it ",
            "follow its branch again.")],
    act: async () => {
        const to = choice.querySelector("input:checked").value;
        const change = await post(servicePath(row, "rollback"), { to });
        const before = commitShort(row.live?.commit), after = commitShort(change.commit);
        context.say(withWarnings(`${name}: ${before} → ${after}, pinned.`, change.warnings));
        await service.reload();
    } });
}

// --- force run ---

const CHOICES = [
    ["allow", "Run beside it", "Both run at the same time."],
    ["replace", "Replace it", "What runs is cancelled first; its log stays."],
];

function activeChoice(row) {
    const running = row.running ?? [];
    if (running.length === 0)
        return null;
    const many = running.length === 1 ? "One run is active" : `${running.length} runs are active`;
    return h("fieldset", null, h("legend", null, many),
        ...CHOICES.map(([value, word, meaning], at) => h("label", { class: "choice" },
            h("input", { type: "radio", name: "ifActive", value, checked: at === 0 }),
            h("span", null, word, h("small", null, meaning)))));
}

function oneOff() {
    const env = h("textarea", { rows: 3, spellcheck: "false", placeholder: "MODE=full\nSINCE=2026-01-01" });
    const args = h("textarea", { rows: 2, spellcheck: "false", placeholder: "--verbose" });
    const element = h("details", null, h("summary", null, "Variables and arguments of this run only"),
        h("label", null, "Variables, one NAME=value a line", env),
        h("label", null, "Arguments, one a line; instead of the service's own", args));
    return { element, read: () => ({
        ...(env.value.trim() ? { env: pairs(env.value) } : {}),
        ...(args.value ? { args: args.value.replace(/\n$/, "").split("\n") } : {}),
    }) };
}

/** What a forced run of it is about to be. */
function about(row) {
    const beside = row.concurrency === "Allow" ? null : row.next;
    return [h("p", null, "Runs ", row.live ? ["commit ", h("code", null, commitShort(row.live.commit)),
        row.live.subject ? ` “${row.live.subject}”` : ""] : "its image", " now, beside the schedule."),
    beside ? h("p", { class: "muted" }, "The next scheduled run, ", when(beside), " (", zoned(beside, row.timeZone),
        "), starts even if this one still goes on.") : null];
}

/**
 * Asks how, forces a run, and opens its log as soon as its Job is there.
 * @param {any} row  of the service
 * @param {import("./main.js").Context} context
 */
export async function forceRun(row, context) {
    const key = crypto.getRandomValues(new Uint32Array(4)).join("-"); // pressed twice is run once
    const more = context.may("admin", row.namespace) ? oneOff() : null;
    const choice = h("div", null, activeChoice(row));
    /** @type {any} */
    let run = null;
    const done = await open({ title: `Force run ${row.namespace}/${row.name}`, verb: "Force run CronJob",
        body: [...about(row), choice, more?.element], act: async () => {
            const picked = choice.querySelector("input:checked")?.value;
            const body = { ...(picked ? { ifActive: picked } : {}), ...more?.read() };
            try {
                run = await post(servicePath(row, "runs"), body, { "Idempotency-Key": `${key}-${picked ?? ""}` });
            } catch (problem) {
                if (problem.status === 409 && problem.body?.run && !picked) // one has begun meanwhile
                    fill(choice, notice("info", "A run has begun meanwhile."),
                        activeChoice({ running: [problem.body.run] }));
                throw problem;
            }
        } });
    if (done && run)
        location.hash = address(["runs", row.namespace, row.name, run.name]);
    return done;
}
