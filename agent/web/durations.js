// How long a service's runs took, over time: a bar for each, the usual duration and the deadline as lines, failures
// in a shape of their own. The same as a table is there for those who cannot see it.
import { address } from "./api.js";
import { h, svg } from "./dom.js";
import { RESULTS, clock, duration } from "./format.js";
import { table } from "./marks.js";

const WIDTH = 960, HEIGHT = 150, LEFT = 52, BOTTOM = 22, TOP = 10;
const MOST = 80; // newest runs

function ticks(top) {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];
    const step = steps.find((each) => top / each <= 4) ?? top / 4;
    return Array.from({ length: Math.floor(top / step) + 1 }, (_, at) => at * step);
}

function bar(run, x, width, y) {
    const height = Math.max(2, HEIGHT - BOTTOM - y);
    const word = `${run.name}: ${RESULTS[run.state]?.word}, ${duration(run.durationSeconds)}`;
    const shape = [svg("rect", { x, y: HEIGHT - BOTTOM - height, width, height, rx: 1,
        class: `bar ${RESULTS[run.state]?.tone}` })];
    if (run.state === "failed") // a cross above it
        shape.push(svg("path", { class: "cross", d: `M${x} ${y - 8}l6 6m0-6l-6 6` }));
    return svg("a", { href: address(["runs", run.namespace, run.service, run.name]), "aria-label": word },
        svg("title", null, word), shape);
}

function level(seconds, y, word, name) {
    return [svg("line", { x1: LEFT, x2: WIDTH, y1: y, y2: y, class: name }),
        svg("text", { x: WIDTH, y: y - 3, "text-anchor": "end", class: name }, `${word} ${duration(seconds)}`)];
}

function asTable(runs, zone) {
    return h("details", null, h("summary", null, "As a table"),
        table("How long the runs took", ["Run", "When", "Took", "Result"], ...runs.map((run) => h("tr", null,
            h("th", { scope: "row" }, run.name), h("td", null, clock(run.created, zone)),
            h("td", null, duration(run.durationSeconds)), h("td", null, RESULTS[run.state]?.word)))));
}

/**
 * @param {any[]} all  runs, newest first
 * @param {{usual: number|null, deadline: number|null, zone: string|null}} about
 */
export function durations(all, { usual, deadline, zone }) {
    const runs = all.filter((run) => run.name && run.durationSeconds !== null).slice(0, MOST).reverse();
    if (runs.length < 2)
        return null;
    const longest = Math.max(...runs.map((run) => run.durationSeconds), usual ?? 0);
    // A deadline that is far away would make all else flat.
    const top = Math.max(1, deadline && deadline < 4 * longest ? Math.max(deadline, longest) : longest) * 1.12;
    const y = (seconds) => TOP + (HEIGHT - BOTTOM - TOP) * (1 - seconds / top);
    const step = (WIDTH - LEFT - 8) / runs.length, width = Math.max(3, Math.min(14, step - 3));
    const label = (run, at) => at === 0 || at === runs.length - 1
        ? svg("text", { x: at ? WIDTH : LEFT, y: HEIGHT - 5, "text-anchor": at ? "end" : "start" },
            clock(run.created, zone)) : null;
    return h("figure", { class: "picture card" }, h("figcaption", null, "How long runs took",
        deadline && deadline >= 4 * longest
            ? h("span", { class: "muted" }, ` · deadline ${duration(deadline)}, far above`) : null),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "group",
        "aria-label": "Durations of the runs, oldest first" },
        ticks(top).map((seconds) => [
            svg("line", { x1: LEFT, x2: WIDTH, y1: y(seconds), y2: y(seconds), class: "grid" }),
            svg("text", { x: LEFT - 6, y: y(seconds) + 4, "text-anchor": "end" }, duration(seconds))]),
        runs.map((run, at) => bar(run, LEFT + 4 + at * step, width, y(run.durationSeconds))),
        usual === null ? null : level(usual, y(usual), "usually", "usual"),
        deadline && deadline <= top ? level(deadline, y(deadline), "deadline", "deadline") : null,
        runs.map(label)), asTable(runs, zone));
}
