// The past day and the coming one across services: what ran, how long and with which end, what will run, and where
// runs overlap. As a picture, and as a table for those who cannot see it.
import { address, get, inTurn, path } from "./api.js";
import { fill, h, svg } from "./dom.js";
import { RESULTS, clock, duration, now, plural } from "./format.js";
import { empty, mark, table } from "./marks.js";

const WIDTH = 1200, ROW = 26, LEFT = 210, TOP = 24, BAR = 14;
const HOURS = 24, SHORTEST = 3; // units of width: else it is not seen
const UNKNOWN = 60; // seconds, of a service that has never succeeded
const REFRESH_MS = 60000;

class Scale {
    constructor(from, to) {
        this.from = Date.parse(from);
        this.to = Date.parse(to);
    }

    x(time) {
        return LEFT + (WIDTH - LEFT) * (time - this.from) / (this.to - this.from);
    }
}

// Each full third hour of the viewer's day.
function hours(scale) {
    const marks = [], first = new Date(scale.from);
    first.setMinutes(0, 0, 0);
    for (let time = first.getTime(); time < scale.to; time += 3600000)
        if (time > scale.from && new Date(time).getHours() % 3 === 0)
            marks.push(time);
    return marks;
}

function grid(scale, height) {
    return hours(scale).map((time) => [
        svg("line", { x1: scale.x(time), x2: scale.x(time), y1: TOP - 4, y2: height, class: "grid" }),
        svg("text", { x: scale.x(time), y: TOP - 8, "text-anchor": "middle" }, clock(new Date(time).toISOString()))]);
}

const seconds = (run) => run.seconds ?? Math.max(0, (now() - Date.parse(run.started)) / 1000);

const usually = (service) => service.usualSeconds === null ? "never ended well yet"
    : `usually ${duration(service.usualSeconds)}`;

function block(scale, start, length, y, name, words, href) {
    const x = Math.max(LEFT, scale.x(start)); // it may have begun before
    const width = Math.max(SHORTEST, scale.x(start + length * 1000) - x);
    const shape = [svg("title", null, words), svg("rect", { x, y, width, height: BAR, rx: 2, class: name })];
    return href ? svg("a", { href, "aria-label": words }, shape) : svg("g", null, shape);
}

function line(scale, service, at) {
    const y = TOP + at * ROW + (ROW - BAR) / 2, name = `${service.namespace}/${service.name}`;
    const usual = service.usualSeconds ?? UNKNOWN;
    return [svg("a", { href: address(["services", service.namespace, service.name]) },
        svg("text", { x: 0, y: y + BAR - 3, class: "service" },
        svg("title", null, name), name.length > 32 ? `${name.slice(0, 31)}…` : name)),
    svg("line", { x1: LEFT, x2: WIDTH, y1: y + BAR / 2, y2: y + BAR / 2, class: "grid" }),
    service.runs.map((run) => block(scale, Date.parse(run.started), seconds(run), y,
        `run ${RESULTS[run.result]?.tone ?? "quiet"} ${run.result}`,
        `${run.name}: ${RESULTS[run.result]?.word ?? run.result}, ${duration(seconds(run))}, ${clock(run.started)}`,
        address(["runs", service.namespace, service.name, run.name]))),
    service.next.map((time) => block(scale, Date.parse(time), usual, y, "run next",
        `${name} at ${clock(time)}, ${usually(service)}`, null))];
}

/** How many runs go on at once over time: where the day is full. */
function crowd(services) {
    const edges = services.flatMap((service) => [
        ...service.runs.map((run) => [Date.parse(run.started), seconds(run)]),
        ...service.next.map((time) => [Date.parse(time), service.usualSeconds ?? UNKNOWN])])
        .flatMap(([start, length]) => [[start, 1], [start + Math.max(1, length) * 1000, -1]])
        .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let count = 0, most = 0, at = 0;
    for (const [time, by] of edges) {
        count += by;
        if (count > most)
            [most, at] = [count, time];
    }
    return { most, at };
}

function asTable(services) {
    const rows = services.flatMap((service) => [
        ...service.runs.map((run) => ({ service, time: run.started, what: mark(RESULTS, run.result),
            took: duration(seconds(run)) })),
        ...service.next.map((time) => ({ service, time, what: "to come", took: usually(service) }))])
        .sort((a, b) => Date.parse(a.time) - Date.parse(b.time));
    return h("details", null, h("summary", null, `As a table: ${plural(rows.length, "row")}`),
        table("Runs of the past and the coming day", ["When", "Service", "Result", "Took"],
            ...rows.map(({ service, time, what, took }) => h("tr", null, h("td", null, clock(time)),
                h("th", { scope: "row" }, `${service.namespace}/${service.name}`), h("td", null, what),
                h("td", null, took)))));
}

function picture({ from, now: present, to, services }) {
    const scale = new Scale(from, to), height = TOP + services.length * ROW + 6;
    const middle = scale.x(Date.parse(present));
    return h("figure", { class: "picture card timeline" },
        h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Timeline" },
        svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "group",
            "aria-label": "Runs of the past and the coming day, a line for each service" }, grid(scale, height),
            services.map((service, at) => line(scale, service, at)),
            svg("line", { x1: middle, x2: middle, y1: TOP - 4, y2: height, class: "now" }),
            svg("text", { x: middle, y: height, class: "now", "text-anchor": "middle" }, "now"))),
    h("figcaption", { class: "legend" }, ["succeeded", "failed", "running"].map((key) => h("span", null,
        h("span", { class: `swatch run ${RESULTS[key].tone} ${key}`, "aria-hidden": "true" }), RESULTS[key].word)),
        h("span", null, h("span", { class: "swatch run next", "aria-hidden": "true" }), "to come, as long as usual")));
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const content = h("div"), sentence = h("p", { class: "muted" });
    const onlyBusy = h("input", { type: "checkbox", checked: true, onchange: () => answer && draw() });
    fill(place, h("div", { class: "title" }, h("h1", null, "Timeline"), h("span", { class: "space" }),
        h("label", { class: "toggle" }, onlyBusy, "Only services that run in it")), sentence, content);
    let answer = null;

    function draw() {
        const services = answer.services.filter((service) =>
            !onlyBusy.checked || service.runs.length || service.next.length);
        const { most, at } = crowd(services), cut = services.filter((service) => service.more);
        fill(sentence, most > 1 ? `At most ${plural(most, "run")} at once, at ${clock(new Date(at).toISOString())}.`
            : "No two runs overlap.",
            cut.length ? ` Of ${plural(cut.length, "service")} with very many runs only a part is shown.` : "");
        fill(content, services.length ? [picture({ ...answer, services }), asTable(services)]
            : empty("Nothing in these two days", h("p", null, "No service ran, and none is due.")));
    }

    const load = inTurn(async () => {
        answer = await get(path("timeline"), { hours: HOURS });
        draw();
    });

    const again = () => load().catch((problem) => context.say(problem.message, "bad"));
    await load();
    const timer = setInterval(() => document.hidden || again(), REFRESH_MS);
    return { update: ({ kind }) => kind === "reload" && again(), close: () => clearInterval(timer) };
}
