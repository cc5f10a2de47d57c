// The log viewer: a window of lines onto a log of any size. The newest lines come first and go on live; what is
// before them is fetched when it is asked for, and what is far away is let go again. Searching is the agent's work.
import { coloured, plain } from "./ansi.js";
import { fetchRaw, get } from "./api.js";
import { add, fill, h } from "./dom.js";
import { fullTime, plural, size } from "./format.js";

const TAIL = 2000, PAGE = 1000; // lines fetched at a time
const KEPT = 10000;             // in the window
const BLOCK = 250;              // in one element, so that what is off the screen costs nothing
const SHOWN = 4000;             // characters of a line, until all of it is asked for
const MATCHES = 1000;
const FLUSH_MS = 100, SEARCH_MS = 300, AGAIN_MS = 2000;
const NEAR = 40;                // pixels from the end: there, new lines are followed
const NONE = ["no-log", "no-pod-yet"]; // reasons: there may be one later
const STAMP = /^(\d{4}-\d\d-\d\dT[\d:.]+Z) ?/;

const ofDay = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit",
    fractionalSecondDigits: 3, hourCycle: "h23" });

/**
 * @typedef {object} Source
 * @property {string} where                      the log's address
 * @property {Object<string, any>} query         which attempt, say
 * @property {string} file                       name of a download
 * @property {(line: number) => string} link     the address of a line on the page
 * @property {() => boolean} live                whether there may be more
 * @property {() => string} why                  while there is no log: what it waits for, or why there will be none
 * @property {() => void} [ended]                the log has come to its end
 */

/** Lines of a stream of text, as they come; what follows the last end of line is no line before the end. */
async function readLines(body, take) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = [];
    for (;;) {
        const { value, done } = await reader.read();
        if (done)
            break;
        const lines = value.split("\n");
        if (lines.length === 1) {
            rest.push(value);
            continue;
        }
        lines[0] = rest.join("") + lines[0];
        rest = [lines.pop()];
        take(lines);
    }
    if (rest.join(""))
        take([rest.join("")]);
}

/** As a terminal shows it: a carriage return begins the line anew. */
function overwritten(text) {
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    return line.slice(line.lastIndexOf("\r") + 1);
}

export class Log {
    /** @param {Element} place @param {Source} source @param {number?} line  to begin at */
    constructor(place, source, line) {
        this.source = source;
        this.target = line;
        this.first = this.next = 1;
        this.total = 0;
        this.blocks = [];
        this.pending = [];
        this.following = !line;
        this.abort = new AbortController();
        this.timers = new Set();
        this.hits = new Set();
        this.matches = [];
        this.at = -1;
        this.sought = "";
        this.turn = Promise.resolve();
        this.draw(place);
        this.begin();
    }

    close() {
        this.abort.abort();
        this.looking?.abort();
        this.timers.forEach(clearTimeout);
    }

    later(ms, work) {
        const timer = setTimeout(() => {
            this.timers.delete(timer);
            work();
        }, ms);
        this.timers.add(timer);
        return timer;
    }

    // --- the frame ---

    draw(place) {
        const toggle = (word, on, change) => h("label", { class: "toggle" },
            h("input", { type: "checkbox", checked: on, onchange: (event) => change(event.target.checked) }), word);
        this.lines = h("div", { class: "log-lines wrap", tabindex: "0", role: "region",
            "aria-label": "Lines of the log",
            onscroll: () => this.scrolled() });
        this.earlier = h("button", { type: "button", class: "quiet", hidden: true, onclick: () => this.loadEarlier() });
        this.afterwards = h("button", { type: "button", class: "quiet", hidden: true,
            onclick: () => this.loadLater() },
            "Later lines");
        this.state = h("p", { class: "log-state", role: "status" });
        this.followBox = h("input", { type: "checkbox", checked: this.following,
            onchange: (event) => this.follow(event.target.checked) });
        this.box = h("div", null);
        add(this.lines, this.earlier, this.box, this.afterwards);
        const word = (name, text) => toggle(text, this.lines.classList.contains(name),
            (on) => this.lines.classList.toggle(name, on));
        add(place, h("section", { class: "log", "aria-label": "Log" },
            h("div", { class: "log-bar" }, this.searchForm(), h("div", { class: "log-tools" },
                word("wrap", "Wrap"), word("times", "Times"), h("label", { class: "toggle" }, this.followBox, "Follow"),
                h("a", { class: "button", href: this.download(), download: this.source.file }, "Download"))),
            this.lines, this.state));
    }

    download() {
        const query = new URLSearchParams(Object.entries(this.source.query).filter(([, value]) => value));
        return `${this.source.where}?${query}`;
    }

    searchForm() {
        this.count = h("span", { class: "quiet", role: "status" });
        this.input = h("input", { type: "search", placeholder: "Find exactly", "aria-label": "Find in the log",
            oninput: () => {
                clearTimeout(this.typing);
                this.typing = this.later(SEARCH_MS, () => this.search());
            },
            onkeydown: (event) => {
                if (event.key === "Enter") {
                    event.preventDefault();
                    this.step(event.shiftKey ? -1 : 1);
                }
            } });
        this.small = h("input", { type: "checkbox", onchange: () => this.search() });
        const move = (name, symbol, by) =>
            h("button", { type: "button", "aria-label": name, title: name, onclick: () => this.step(by) }, symbol);
        return h("form", { class: "log-search", role: "search", onsubmit: (event) => event.preventDefault() },
            this.input, h("label", { class: "toggle" }, this.small, "Any case"), this.count,
            move("Previous match", "↑", -1), move("Next match", "↓", 1));
    }

    say(...words) {
        fill(this.state, ...words);
    }

    // --- getting lines ---

    query(more) {
        return { ...this.source.query, timestamps: true, ...more };
    }

    /** A part of the log, which tells where it begins. */
    async fetch(more) {
        const response = await fetchRaw("GET", this.source.where,
            { query: this.query(more), signal: this.abort.signal });
        this.total = Math.max(this.total, Number(response.headers.get("Log-Lines") ?? 0));
        return { first: Number(response.headers.get("Log-Line") ?? 1), body: response.body };
    }

    begin() {
        if (this.target)
            this.guard(() => this.loadAround(this.target));
        else
            this.stream({ tail: TAIL });
    }

    /** One after the other, since each begins where the window ends then. What fails is said, and not thrown. */
    guard(work) {
        return this.turn = this.turn.then(work).catch((error) => {
            if (error.name !== "AbortError")
                this.say(h("span", { class: "bad" }, error.message));
        });
    }

    /** The end of the log and what is added to it, until it ends; what breaks off is taken up again. */
    async stream(more) {
        if (this.streaming)
            return;
        this.streaming = true;
        const live = this.source.live(), { abort } = this;
        try {
            const { first, body } = await this.fetch({ ...more, follow: live });
            if (this.blocks.length === 0)
                this.first = this.next = first;
            this.say(live ? "Live: new lines appear as they are written." : "");
            await readLines(body, (lines) => this.take(lines));
            this.flush();
            this.streaming = false;
            this.ended();
        } catch (error) {
            if (this.abort !== abort || error.name === "AbortError") // stopped; there may be another one by now
                return;
            this.streaming = false;
            this.broken(error);
        }
    }

    ended() {
        this.say(this.next > 1 ? `The end: ${plural(this.next - 1, "line")}.` : "The log is empty.");
        this.source.ended?.();
    }

    broken(error) {
        this.flush();
        const none = error.status === 404 && NONE.includes(error.reason);
        if (!none && error.status >= 400 && error.status < 500)
            return this.say(h("span", { class: "bad" }, error.message));
        if (none && !this.source.live())
            return this.say(this.source.why());
        this.say(none ? this.source.why() : "The connection was lost; trying again …");
        this.later(AGAIN_MS, () => this.stream(this.blocks.length ? { line: this.next } : { tail: TAIL }));
    }

    take(lines) {
        this.pending.push(...lines);
        this.flushing ??= this.later(FLUSH_MS, () => this.flush());
    }

    flush() {
        clearTimeout(this.flushing);
        this.flushing = null;
        if (this.pending.length === 0)
            return;
        const lost = Math.max(0, this.pending.length - KEPT);
        if (lost > 0) { // faster than anybody can read: the newest stay
            this.clear();
            this.first = this.next += lost;
        }
        this.append(this.pending.slice(lost));
        this.pending = [];
        this.trimStart();
        if (this.following)
            this.toEnd();
    }

    async page(first, count) {
        const lines = [];
        const part = await this.fetch({ line: Math.max(1, first), count });
        await readLines(part.body, (more) => lines.push(...more));
        return { first: part.first, lines };
    }

    loadEarlier() {
        this.follow(false);
        return this.guard(async () => {
            const before = this.first, from = Math.max(1, before - PAGE);
            if (before <= 1)
                return;
            const { lines } = await this.page(from, before - from);
            if (this.first !== before) // the window has moved on meanwhile
                return;
            const height = this.lines.scrollHeight, top = this.lines.scrollTop;
            this.prepend(lines);
            this.trimEnd();
            this.lines.scrollTop = top + this.lines.scrollHeight - height;
        });
    }

    loadLater() {
        return this.guard(async () => {
            const before = this.next;
            const { lines } = await this.page(before, PAGE);
            if (this.streaming || this.next !== before)
                return;
            this.append(lines);
            this.trimStart();
            if (lines.length < PAGE)
                this.stream({ line: this.next });
        });
    }

    async loadAround(line) {
        this.follow(false);
        const { first, lines } = await this.page(line - PAGE / 2, PAGE);
        this.stop();
        this.clear();
        this.first = this.next = first;
        this.append(lines);
        if (lines.length < PAGE)
            this.stream({ line: this.next });
        this.show(line);
    }

    // --- the window ---

    clear() {
        this.blocks = [];
        fill(this.box);
    }

    block(lines, from) {
        const element = h("div", { class: "block" }, lines.map((line, at) => this.line(line, from + at)));
        return { element, from, count: lines.length };
    }

    append(lines) {
        for (let at = 0; at < lines.length; at += BLOCK) {
            const block = this.block(lines.slice(at, at + BLOCK), this.next);
            this.blocks.push(block);
            this.box.append(block.element);
            this.next += block.count;
        }
        this.total = Math.max(this.total, this.next - 1);
        this.edges();
    }

    prepend(lines) {
        this.first -= lines.length;
        const block = this.block(lines, this.first);
        this.blocks.unshift(block);
        this.box.prepend(block.element);
        this.edges();
    }

    trimStart() {
        while (this.blocks.length > 1 && this.next - this.first - this.blocks[0].count > KEPT) {
            const gone = this.blocks.shift();
            gone.element.remove();
            this.first += gone.count;
        }
        this.edges();
    }

    // Then the end is not in the window any more, and nothing is added to it.
    trimEnd() {
        while (this.blocks.length > 1 && this.next - this.first > KEPT) {
            const gone = this.blocks.pop();
            gone.element.remove();
            this.next -= gone.count;
            this.stop();
        }
        this.edges();
    }

    stop() {
        if (!this.streaming)
            return;
        this.abort.abort();
        this.abort = new AbortController();
        this.streaming = false;
        this.pending = [];
        this.follow(false);
        this.say("Earlier lines; the end is further down.");
    }

    edges() {
        this.earlier.hidden = this.first <= 1;
        if (this.first > 1)
            fill(this.earlier, `Earlier lines: ${plural(this.first - 1, "line")}`);
        this.afterwards.hidden = this.streaming || this.next > this.total;
    }

    line(raw, number) {
        const stamp = STAMP.exec(raw);
        const text = overwritten(stamp ? raw.slice(stamp[0].length) : raw);
        const link = h("a", { class: "number", href: this.source.link(number), "aria-label": `Line ${number}`,
            onclick: (event) => this.point(event, number) }, number);
        const time = stamp ? h("time", { datetime: stamp[1], title: fullTime(stamp[1]) },
            ofDay.format(new Date(stamp[1]))) : null;
        const classes = ["line", number === this.target ? "target" : "", this.hits.has(number) ? "hit" : ""];
        return h("div", { class: classes.join(" ").trim(), id: `L${number}` }, link, time, this.text(text));
    }

    text(text) {
        if (text.length <= SHOWN)
            return h("code", null, coloured(text));
        const code = h("code", null, coloured(text.slice(0, SHOWN)), "… ");
        code.append(h("button", { type: "button", onclick: () => fill(code, plain(text)) },
            `all ${size(text.length)} of this line`));
        return code;
    }

    // --- moving about ---

    point(event, number) {
        event.preventDefault();
        history.replaceState(null, "", this.source.link(number));
        this.follow(false);
        this.show(number);
    }

    /** Goes to a line, which may have to be fetched first. */
    go(number) {
        this.follow(false);
        if (number >= this.first && number < this.next)
            this.show(number);
        else
            this.guard(() => this.loadAround(number));
    }

    show(number) {
        this.box.querySelector(".target")?.classList.remove("target");
        this.target = number;
        const line = this.box.querySelector(`#L${number}`);
        line?.classList.add("target");
        line?.scrollIntoView({ block: "center" });
    }

    follow(on) {
        this.following = this.followBox.checked = on;
        if (!on)
            return;
        if (this.next <= this.total && !this.streaming) { // the end is elsewhere
            this.clear();
            this.first = this.next = 1;
            this.stream({ tail: TAIL });
        }
        this.toEnd();
    }

    toEnd() {
        this.moving = true;
        this.lines.scrollTop = this.lines.scrollHeight;
    }

    /** Who scrolls up reads; who comes back to the end wants what is new. */
    scrolled() {
        const atEnd = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < NEAR;
        if (this.moving)
            this.moving = !atEnd;
        else if (!this.streaming || atEnd !== this.following)
            this.following = this.followBox.checked = atEnd && this.streaming;
    }

    // --- finding ---

    async search() {
        const sought = this.input.value;
        this.looking?.abort();
        this.looking = new AbortController();
        this.at = -1;
        if (!sought)
            return this.found({ matches: [], more: false }, "");
        try {
            const query = { ...this.source.query, search: sought, ignoreCase: this.small.checked || null,
                limit: MATCHES };
            this.found(await get(this.source.where, query, this.looking.signal), sought);
        } catch (error) {
            if (error.name !== "AbortError")
                fill(this.count, error.message);
        }
    }

    found({ matches, more }, sought) {
        this.sought = sought;
        this.matches = matches.map((match) => match.line);
        this.more = more;
        this.hits = new Set(this.matches);
        for (const line of this.box.querySelectorAll(".line"))
            line.classList.toggle("hit", this.hits.has(Number(line.id.slice(1))));
        fill(this.count, !sought ? "" : matches.length ? this.position() : "none");
    }

    position() {
        const all = `${this.matches.length.toLocaleString("en")}${this.more ? "+" : ""}`;
        return this.at < 0 ? plural(this.matches.length, "line") + (this.more ? " or more" : "")
            : `${this.at + 1} of ${all}`;
    }

    /** To the next match, or the one before; the first time, to the first or the last one. */
    async step(by) {
        clearTimeout(this.typing);
        if (this.sought !== this.input.value)
            await this.search();
        if (this.matches.length === 0)
            return;
        const count = this.matches.length;
        this.at = this.at < 0 ? (by > 0 ? 0 : count - 1) : (this.at + by + count) % count;
        fill(this.count, this.position());
        this.go(this.matches[this.at]);
    }
}
