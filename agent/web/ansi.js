// Colours that programs write into their logs (SGR of ECMA-48). Colours outside the sixteen of the page's palette
// become the nearest of those, which are chosen so that each can be read on light and on dark. All other
// sequences are left out.
import { h } from "./dom.js";

// ESC [ … final; ESC ] … BEL or ESC \ (titles, links); ESC and one more.
const SEQUENCE = /\x1b(?:\[([0-?]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~])/g;

const LEVELS = [0, 95, 135, 175, 215, 255]; // of the 6×6×6 cube of 256 colours
const WORDS = { 1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "inverse", 9: "strike" };
const WITHOUT = { 22: ["bold", "dim"], 23: ["italic"], 24: ["underline"], 27: ["inverse"], 29: ["strike"] };
const COLOURED = { 38: "ink", 48: "paper", 58: "line" }; // the last is the colour of what is underlined: not shown
const BRIGHT = 180, DIFFERENT = 40; // of 255

/** The nearest of the sixteen. Grey is told by its brightness, the rest by which of the three are strong. */
function nearest(red, green, blue) {
    const most = Math.max(red, green, blue), least = Math.min(red, green, blue);
    if (most - least < DIFFERENT)
        return most < 64 ? 0 : most < 128 ? 8 : most < BRIGHT ? 7 : 15;
    const middle = (most + least) / 2;
    const hue = (red > middle ? 1 : 0) + (green > middle ? 2 : 0) + (blue > middle ? 4 : 0);
    return hue + (most > BRIGHT ? 8 : 0);
}

function of256(number) {
    if (number < 16)
        return number;
    if (number >= 232)
        return nearest(...Array(3).fill(8 + 10 * (number - 232)));
    const at = number - 16;
    return nearest(LEVELS[Math.floor(at / 36)], LEVELS[Math.floor(at / 6) % 6], LEVELS[at % 6]);
}

/** A colour as it follows 38, 48 or 58: [colour or null, numbers used]. @param {number[]} numbers */
function extended([kind, ...rest]) {
    const [red, green, blue] = rest;
    if (kind === 5)
        return [red <= 255 ? of256(red) : null, 2];
    if (kind === 2)
        return [Math.max(red, green, blue) <= 255 ? nearest(red, green, blue) : null, 4];
    return [null, 0];
}

// 38:2:SPACE:R:G:B of ITU-T T.416, also without the space; 38:5:N.
const ofParts = (parts) => extended(parts.length > 4 ? [parts[0], ...parts.slice(2)] : parts)[0];

/** What is in force after an SGR. @param {{words: Set<string>, ink: number?, paper: number?}} style */
function apply(style, parameters) {
    const codes = parameters.split(";");
    for (let i = 0; i < codes.length; i++) {
        const [code, ...parts] = codes[i].split(":").map(Number);
        if (code === 0)
            Object.assign(style, fresh());
        else if (code === 4 && parts[0] === 0) // a line under it, of the kind "none"
            style.words.delete(WORDS[code]);
        else if (WORDS[code])
            style.words.add(WORDS[code]);
        else if (WITHOUT[code])
            WITHOUT[code].forEach((word) => style.words.delete(word));
        else if (COLOURED[code]) {
            const [colour, used] = parts.length ? [ofParts(parts), 0] : extended(codes.slice(i + 1, i + 5).map(Number));
            style[COLOURED[code]] = colour;
            i += used;
        } else if (code === 39 || code === 49)
            style[code === 39 ? "ink" : "paper"] = null;
        else if (code >= 30 && code <= 37 || code >= 90 && code <= 97)
            style.ink = code % 10 + (code >= 90 ? 8 : 0);
        else if (code >= 40 && code <= 47 || code >= 100 && code <= 107)
            style.paper = code % 10 + (code >= 100 ? 8 : 0);
    }
}

const fresh = () => ({ words: new Set(), ink: null, paper: null });

function piece(text, style) {
    const names = [...style.words];
    if (style.ink !== null)
        names.push(`ink-${style.ink}`);
    if (style.paper !== null)
        names.push(`paper-${style.paper}`);
    return names.length ? h("span", { class: names.join(" ") }, text) : text;
}

/** A line's text as children for h(): colours end with their line. @param {string} line */
export function coloured(line) {
    if (!line.includes("\x1b"))
        return [line];
    const pieces = [], style = fresh();
    let from = 0;
    for (const found of line.matchAll(SEQUENCE)) {
        if (found.index > from)
            pieces.push(piece(line.slice(from, found.index), style));
        if (found[2] === "m")
            apply(style, found[1]);
        from = found.index + found[0].length;
    }
    if (from < line.length)
        pieces.push(piece(line.slice(from), style));
    return pieces;
}

/** The line without any of it. @param {string} line */
export const plain = (line) => line.replace(SEQUENCE, "");
