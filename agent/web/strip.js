// The strip of a service's last runs: a bar for each, as high as it took long. A failed one stands on a foot, one
// that did not happen is a ring, one that goes on is hollow. A whole strip is a handful of paths, since a list has a
// thousand of them; which bar is meant is worked out from where the pointer is.
import { h, svg } from "./dom.js";
import { address } from "./api.js";
import { RESULTS, duration, relative } from "./format.js";

const STEP = 5, BAR = 4, HEIGHT = 22, FLOOR = 18, LOWEST = 3;

const SHAPES = {
    bar: (x, top) => `M${x} ${FLOOR}V${top}h${BAR}V${FLOOR}z`,
    foot: (x, top) => `M${x} ${FLOOR}V${top}h${BAR}V${FLOOR}zM${x} ${FLOOR + 1.5}h${BAR}v2.5h-${BAR}z`,
    hollow: (x, top) => `M${x + 0.5} ${FLOOR - 0.5}V${top + 0.5}h${BAR - 1}V${FLOOR - 0.5}z`,
    ring: (x) => `M${x + 0.5} ${FLOOR - 2}a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0 -3 0z`,
};
const KINDS = { succeeded: "bar", failed: "foot", running: "hollow", pending: "hollow", missed: "ring",
    unknown: "ring" };

// 12 succeeded, 2 failed, 1 did not run; the newest failed
function inWords(results) {
    const counts = Object.entries(RESULTS).map(([key, { word }]) => [results.filter((each) => each === key).length,
        word]);
    const said = counts.filter(([count]) => count).map(([count, word]) => `${count} ${word}`).join(", ");
    return results.length ? `${said}; the newest ${RESULTS[results.at(-1)]?.word ?? ""}` : "none yet";
}

/** @param {any} row  a service's, with its strip. @param {number} [most]  bars there is room for */
export function strip(row, most = 30) {
    const { results, seconds } = row.strip;
    const top = Math.max(1, (row.usualSeconds ?? 0) * 1.5, ...seconds.map((each) => each ?? 0));
    const paths = {};
    results.forEach((result, at) => {
        const kind = KINDS[result] ?? "ring";
        const high = Math.max(LOWEST, (seconds[at] ?? top / 4) / top * (FLOOR - 1));
        const x = (most - results.length + at) * STEP;
        paths[result] = (paths[result] ?? "") + SHAPES[kind](x, Math.round((FLOOR - high) * 10) / 10);
    });
    const label = `Last runs of ${row.name}: ${inWords(results)}`;
    const link = h("a", { class: "strip", href: address(["services", row.namespace, row.name, "runs"]),
        "aria-label": label },
        svg("svg", { viewBox: `0 0 ${most * STEP} ${HEIGHT}`, width: most * STEP, height: HEIGHT,
            "aria-hidden": "true" },
            svg("path", { class: "floor", d: `M0 ${FLOOR + 0.5}H${most * STEP}` }),
            ...Object.entries(paths).map(([result, d]) => svg("path", { class: RESULTS[result]?.tone ?? "quiet",
                "data-kind": KINDS[result], d }))));
    link["row"] = row;
    link["most"] = most;
    return link;
}

function barAt(link, event) {
    const box = link.firstElementChild.getBoundingClientRect();
    const { strip: of } = link["row"];
    const at = Math.floor((event.clientX - box.left) / box.width * link["most"]) - (link["most"] - of.results.length);
    return at >= 0 && at < of.results.length ? at : -1;
}

function textOf({ strip: of }, at) {
    const word = RESULTS[of.results[at]]?.word ?? of.results[at];
    return [word, of.kinds[at], of.times[at] && relative(of.times[at]), of.seconds[at] && duration(of.seconds[at])]
        .filter(Boolean).join(" · ");
}

/** Says what a bar is when it is pointed at, and lets a click open that very run's log: on the whole page. */
export function explainStrips() {
    const tip = h("div", { class: "tip", hidden: true });
    document.body.append(tip);
    const linkOf = (event) => event.target instanceof Element ? event.target.closest("a.strip") : null;
    document.addEventListener("pointermove", (event) => {
        const link = linkOf(event), at = link ? barAt(link, event) : -1;
        tip.hidden = at < 0;
        if (at < 0)
            return;
        tip.textContent = textOf(link["row"], at);
        tip.style.setProperty("left", `${Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)}px`);
        tip.style.setProperty("top", `${event.clientY + 18}px`);
    });
    document.addEventListener("click", (event) => {
        tip.hidden = true;
        const link = linkOf(event), at = link && event.detail ? barAt(link, event) : -1;
        const name = at < 0 ? null : link["row"].strip.names[at];
        if (!name || event.ctrlKey || event.metaKey || event.shiftKey)
            return;
        event.preventDefault();
        location.hash = address(["runs", link["row"].namespace, link["row"].name, name]);
    });
}
