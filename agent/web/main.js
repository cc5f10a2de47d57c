// The page's start: who is signed in, the frame around every view, and which address shows which view.
//
// A view is a module with `async function show(place, params, context)`: it fills `place` (an empty element) with an
// `h1` and the rest, and resolves once there is something to see. `params` are the named parts of the address, and
// `params.query` its URLSearchParams. What it throws is shown with what to do. It may give back an object with
//   update({kind, data})  told of each event of the agent (service, service-gone, build, delivery), and of
//                         "reload" when some may have been missed: then what is shown is to be asked for again
//   close()               called before another view takes its place: ends what it follows or waits for
import { Problem, Updates, address, get, loaded, onSignedOut, path, request } from "./api.js";
import { add, fill, h } from "./dom.js";
import { helpDialog } from "./dialog.js";
import { ROLES } from "./format.js";
import { problemNotice, startTicking } from "./marks.js";
import { explainStrips } from "./strip.js";

/**
 * @typedef {object} Context
 * @property {{name: string, role: string, namespaces: string[]}|null} session
 * @property {(role: string, namespace?: string) => boolean} may  whether the session has at least this role there
 * @property {(parts: string[], query?: object) => void} go  to an address of the page
 * @property {(query: object) => void} setQuery  keeps it in the address; no view is shown anew, null takes one away
 * @property {(text: string, tone?: "bad"|"good") => void} say  tells it in a corner, and to screen readers
 * @property {(text: string) => void} title  of the document
 * @property {(session: object) => Promise<void>} signedIn
 * @typedef {(place: HTMLElement, params: any, context: Context) => Promise<{update?: Function, close?: Function}>} Show
 */

// Each is loaded when it is first shown.
/** @type {[string, () => Promise<{show: Show}>][]} */
const ROUTES = [
    ["services", () => import("./services.js")],
    ["services/:namespace/:name", () => import("./service.js")],
    ["services/:namespace/:name/:tab", () => import("./service.js")],
    ["runs/:namespace/:name/:run", () => import("./run.js")],
    ["builds/:build", () => import("./build.js")],
    ["deliveries", () => import("./deliveries.js")],
    ["timeline", () => import("./timeline.js")],
    ["create", () => import("./create.js")],
    ["signin", () => import("./signin.js")],
];
const NAVIGATION = [["services", "Services"], ["timeline", "Timeline"], ["deliveries", "Deliveries"]];
const CONNECTION = { // state → [tone, word, what it means]
    connecting: ["quiet", "connecting …", "Asking the agent for live updates"],
    live: ["good", "live", "What changes is shown at once"],
    outdated: ["warn", "live; reload for the new version", "The agent has been updated and brings a newer page"],
    reconnecting: ["bad", "reconnecting …", "The agent cannot be reached: what is shown may be old"],
    polling: ["warn", "every 15 s", "Too many pages are open for live updates: this one asks every 15 seconds"],
    paused: ["quiet", "paused", "Goes on as soon as this tab is seen"],
    "signed out": ["bad", "signed out", "The session is over: sign in again"],
};
const SAID_MS = 6000;

const main = /** @type {HTMLElement} */ (document.getElementById("main"));
const said = /** @type {HTMLElement} */ (document.getElementById("said"));
let view = {}, missed = null, shown = 0, place = "", updates = null, saidTimer = 0;

/** @type {Context} */
const context = {
    session: null,
    may: (role, namespace) => {
        const { session } = context;
        return session !== null && ROLES.indexOf(session.role) >= ROLES.indexOf(role) &&
            (!namespace || session.namespaces.includes("*") || session.namespaces.includes(namespace));
    },
    go: (parts, query) => void (location.hash = address(parts, query)),
    setQuery,
    say,
    title: (text) => void (document.title = text ? `${text} · cronwright` : "cronwright"),
    signedIn: async (session) => {
        await begin(session);
        if (location.hash.startsWith("#/signin"))
            location.replace(wanted());
        else
            await route();
    },
};

function say(text, tone = "good") {
    clearTimeout(saidTimer);
    fill(said, text);
    said.className = `seen ${tone}`;
    saidTimer = window.setTimeout(() => said.className = "", SAID_MS);
}

// --- addresses ---

function parse(hash) {
    const [before, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
    let parts = [];
    try {
        parts = before.split("/").filter(Boolean).map(decodeURIComponent);
    } catch { /* no address of ours: the list */ }
    for (const [pattern, load] of ROUTES) {
        const names = pattern.split("/");
        const fits = names.length === parts.length &&
            names.every((name, at) => name.startsWith(":") || name === parts[at]);
        const named = names.map((name, at) => [name.slice(1), parts[at]]).filter((_, at) => names[at].startsWith(":"));
        if (fits)
            return { load, first: names[0],
                params: { ...Object.fromEntries(named), query: new URLSearchParams(search) } };
    }
    return parts.length ? null : parse("#/services");
}

function setQuery(query) {
    const [before, search = ""] = location.hash.split("?", 2);
    const all = new URLSearchParams(search);
    for (const [key, value] of Object.entries(query))
        value === null || value === "" ? all.delete(key) : all.set(key, String(value));
    history.replaceState(null, "", `${before || "#/services"}${String(all) && `?${all}`}`);
    place = location.hash;
}

// Where somebody wanted to go who was asked to sign in first.
const wanted = () => new URLSearchParams(location.hash.split("?")[1] ?? "").get("to") || "#/services";

function askToSignIn() {
    stop();
    if (!location.hash.startsWith("#/signin"))
        location.replace(address(["signin"], { to: location.hash }));
}

async function route() {
    const turn = ++shown;
    const found = parse(location.hash);
    if (!context.session && found?.first !== "signin")
        return askToSignIn();
    place = location.hash;
    view.close?.();
    view = {};
    missed = []; // what happens while a view is being made is told to it afterwards
    frame(found?.first ?? "");
    const next = h("div", { class: "view" });
    main.setAttribute("aria-busy", "true");
    try {
        if (!found)
            throw new Problem(404, { detail: "There is no such address on this page." });
        const module = await loaded(found.load());
        if (turn !== shown)
            return;
        main.replaceChildren(next);
        context.title("");
        const opened = await module.show(next, found.params, context) ?? {};
        if (turn !== shown)
            return void opened.close?.();
        view = opened;
    } catch (problem) {
        if (turn !== shown)
            return;
        main.replaceChildren(fill(next, failure(problem, route)));
        view = { update: ({ kind }) => void (kind === "reload" && mayPass(problem) ? route() : 0) };
    }
    const told = missed;
    missed = null;
    main.removeAttribute("aria-busy");
    arrive(next);
    told.forEach((event) => view.update?.(event));
}

function happened(kind, data) {
    if (missed)
        missed.push({ kind, data });
    else
        view.update?.({ kind, data });
}

// What the agent has not refused may work when it is back.
const mayPass = ({ status }) => !(status >= 400 && status < 500);

function failure(problem, again) {
    if (!(problem instanceof Problem))
        console.error(problem);
    return [h("h1", null, problem.status === 404 ? "Not found" : "That did not work"),
        problemNotice(problem, again), h("p", null, h("a", { href: "#/services" }, "All services"))];
}

// Those who do not see the page hear where they are.
function arrive(next) {
    const heading = next.querySelector("h1");
    if (document.title === "cronwright" && heading)
        context.title(heading.textContent);
    if (!heading || next.contains(document.activeElement))
        return;
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
}

// --- the frame ---

function connection(state) {
    const mark = document.getElementById("connection");
    const [tone, word, meaning] = CONNECTION[state];
    if (!mark || mark.dataset.state === state)
        return;
    mark.dataset.state = state;
    mark.className = `connection ${tone}`;
    mark.title = meaning;
    fill(mark, h("span", { class: "dot", "aria-hidden": "true" }), h("span", { class: "unseen" }, "Connection: "),
        word);
}

function who({ name, role, namespaces }) {
    return h("span", { class: "who", title: `Token ${name}, for ${namespaces.join(", ")}` }, name, " ",
        h("span", { class: "muted" }, role));
}

function frame(first) {
    const head = /** @type {HTMLElement} */ (document.getElementById("head"));
    head.hidden = !context.session;
    if (!context.session)
        return;
    if (!head.hasChildNodes())
        add(head, h("a", { class: "brand", href: "#/services" }, h("span", { class: "logo", "aria-hidden": "true" }),
            "cronwright"),
            h("nav", { "aria-label": "Main" }, ...NAVIGATION.map(([to, word]) =>
                h("a", { href: `#/${to}`, "data-to": to }, word))),
            h("span", { class: "space" }),
            h("span", { id: "connection", role: "status" }),
            who(context.session),
            h("button", { type: "button", class: "quiet", onclick: helpDialog, "aria-label": "Help" }, "?"),
            h("button", { type: "button", class: "quiet", onclick: signOut }, "Sign out"));
    const current = ["services", "runs", "builds", "create"].includes(first) ? "services" : first;
    for (const link of head.querySelectorAll("nav a"))
        link.getAttribute("data-to") === current ? link.setAttribute("aria-current", "page")
            : link.removeAttribute("aria-current");
}

// --- the session ---

async function begin(session) {
    context.session = session;
    document.getElementById("head")?.replaceChildren();
    frame("");
    connection("connecting");
    updates?.stop();
    updates = new Updates(happened, connection);
    await updates.start();
}

function stop() {
    updates?.stop();
    updates = null;
    if (context.session)
        connection("signed out");
    context.session = null;
}

async function signOut() {
    try {
        await request("DELETE", path("session"));
    } catch (problem) {
        if (problem.status !== 401)
            return say(problem.message, "bad");
    }
    stop();
    location.hash = "#/signin";
}

function shortcut(event) {
    if (event.target.closest("input, textarea, select, dialog") || event.ctrlKey || event.metaKey || event.altKey)
        return;
    const search = /** @type {HTMLInputElement|null} */ (document.querySelector("main input[type=search]"));
    if (event.key === "/" && search) {
        event.preventDefault();
        search.select();
        search.focus();
    } else if (event.key === "?") {
        helpDialog();
    }
}

async function start() {
    try {
        await begin(await get(path("session")));
    } catch (problem) {
        if (problem.status !== 401)
            return void main.replaceChildren(...failure(problem, start));
    }
    await route();
}

onSignedOut(askToSignIn);
startTicking();
explainStrips();
document.addEventListener("keydown", shortcut);
window.addEventListener("hashchange", () => location.hash === place || route());
start();
