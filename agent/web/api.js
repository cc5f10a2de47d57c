// Requests to the agent, and its stream of updates. Addresses are relative to the document, so that all works
// below any path. Every failure is a Problem, whose message can be shown as it is.
import { setClock } from "./format.js";

const HEARTBEAT_MS = 25000; // two and a half of the agent's: nothing for so long, and the line is dead
const POLL_MS = 15000;
const RETRY_MS = [500, 1000, 2000, 4000, 8000, 15000];

/** What went wrong, as the agent says it (RFC 9457), or that it could not be asked (status 0). */
export class Problem extends Error {
    /** @param {number} status @param {any} body */
    constructor(status, body) {
        super(body.detail ?? body.title ?? `HTTP ${status}`);
        this.status = status;
        this.reason = body.reason ?? null;
        this.errors = body.errors ?? []; // [{pointer, detail, field?, offset?, length?}]
        this.missing = body.missing ?? [];
        this.body = body;
    }
}

/** /v1/services/{namespace}/{name} and what follows, each part encoded. @param {string[]} parts */
export const path = (...parts) => "v1/" + parts.map(encodeURIComponent).join("/");
export const servicePath = (service, ...rest) => path("services", service.namespace, service.name, ...rest);

/** An address within the page: its parts encoded, and a query of what is not null. */
export function address(parts, query = {}) {
    const kept = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
    const search = new URLSearchParams(kept.map(([key, value]) => [key, String(value)])).toString();
    return "#/" + parts.map(encodeURIComponent).join("/") + (search ? `?${search}` : "");
}

let signedOut = () => {};

/** Called with no argument as soon as the agent does not know us any more. */
export function onSignedOut(listener) {
    signedOut = listener;
}

async function problemOf(response) {
    let body = {};
    try {
        body = await response.json();
    } catch { // a proxy's own answer
        body = { detail: `The answer was ${response.status} ${response.statusText}, not from the agent.` };
    }
    return new Problem(response.status, body);
}

/**
 * A request whose answer is read by the caller: for logs and downloads.
 * @param {string} method
 * @param {string} where  relative, of path()
 * @param {{query?: Object<string, any>, body?: any, headers?: Object<string, string>, signal?: AbortSignal}} [more]
 * @returns {Promise<Response>} one that succeeded
 */
export async function fetchRaw(method, where, more = {}) {
    const { query, body, headers, signal } = more;
    const search = query ? address([], query).slice(2) : "";
    let response;
    try {
        response = await fetch(where + search, {
            method, signal, credentials: "same-origin",
            headers: { ...(method === "GET" ? {} : { "Cronwright-Page": "1" }),
                ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
            body: body === undefined ? undefined : JSON.stringify(body),
        });
    } catch (error) {
        if (error.name === "AbortError")
            throw error;
        throw new Problem(0, { detail: "The agent cannot be reached. Nothing was changed unless it says so later." });
    }
    setClock(response.headers.get("Date"));
    if (response.ok)
        return response;
    const problem = await problemOf(response);
    if (response.status === 401 && where !== path("session"))
        signedOut();
    throw problem;
}

/** The same, and its JSON: what the answer says, or null. @returns {Promise<any>} */
export async function request(method, where, more) {
    const response = await fetchRaw(method, where, more);
    return response.status === 204 ? null : response.json();
}

export const get = (where, query, signal) => request("GET", where, { query, signal });
export const post = (where, body, headers) => request("POST", where, { body: body ?? {}, headers });

/**
 * A module of the page that is being imported. It cannot be had when the agent is away, or has a newer page by now.
 * @template T @param {Promise<T>} module
 */
export const loaded = (module) => module.catch((error) => {
    throw error instanceof TypeError
        ? new Problem(0, { detail: "This view cannot be loaded. If the agent was updated meanwhile, reload the page." })
        : error;
});

/**
 * One at a time: called while `act` works, it is done once more after that, also if that failed.
 * @param {() => Promise<any>} act
 */
export function inTurn(act) {
    let working = null, again = false;
    const work = async () => {
        do {
            again = false;
            await act().catch((problem) => {
                if (!again)
                    throw problem;
            });
        } while (again);
    };
    return () => {
        again = true;
        working ??= work().finally(() => working = null);
        return working;
    };
}

// --- updates ---

/** Reads a stream of server-sent events: calls `event(kind, data)` and, for each piece, `alive()`. */
async function readEvents(body, event, alive) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", kind = "", data = "";
    for (;;) {
        const { value, done } = await reader.read();
        if (done)
            return;
        alive();
        const lines = (rest + value).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
            if (line === "" && kind)
                event(kind, JSON.parse(data));
            if (line === "")
                kind = data = "";
            else if (line.startsWith("event: "))
                kind = line.slice(7);
            else if (line.startsWith("data: "))
                data += line.slice(6);
        }
    }
}

/**
 * Keeps a stream of updates open while the tab is seen, and says honestly how that stands.
 * `event(kind, data)`: those of the API, and "reload" whenever some may have been missed.
 * `mark(state)`: "live", "outdated" (live, but the agent has a newer page), "reconnecting", "polling" (the agent has
 * no more streams to give), "paused".
 */
export class Updates {
    constructor(event, mark) {
        this.event = event;
        this.mark = mark;
        this.abort = null;
        this.timer = 0;
        this.failures = 0;
        this.seen = false; // whether there was a stream before
        this.visibility = () => document.hidden ? this.pause() : this.open();
        this.online = () => this.open();
    }

    /** Resolves with the first word of the agent, or when there is none for a second. */
    start() {
        document.addEventListener("visibilitychange", this.visibility);
        window.addEventListener("online", this.online);
        return new Promise((resolve) => {
            this.greeted = resolve;
            setTimeout(() => {
                this.seen = true;
                resolve();
            }, 1000);
            this.open();
        });
    }

    stop() {
        document.removeEventListener("visibilitychange", this.visibility);
        window.removeEventListener("online", this.online);
        this.close();
    }

    close() {
        clearTimeout(this.timer);
        this.abort?.abort();
        this.abort = null;
    }

    pause() {
        this.close();
        this.mark("paused");
    }

    async open() {
        this.close();
        const abort = this.abort = new AbortController();
        const alive = () => {
            clearTimeout(this.timer);
            this.timer = window.setTimeout(() => abort.abort(), HEARTBEAT_MS);
        };
        try {
            alive();
            const response = await fetchRaw("GET", path("updates"), { signal: abort.signal });
            await readEvents(response.body, (kind, data) => this.take(kind, data), alive);
        } catch (error) {
            if (this.abort === abort && error.status === 503 && error.reason === "busy")
                return this.poll();
            if (error.status === 401)
                return this.close();
        }
        if (this.abort === abort) // and nobody has closed it
            this.retry();
    }

    take(kind, data) {
        if (kind !== "hello")
            return this.event(kind, data);
        setClock(data.now);
        this.failures = 0;
        this.mark(import.meta.url.includes(`/${data.page}/`) ? "live" : "outdated");
        if (this.seen)
            this.event("reload", data);
        this.seen = true;
        this.greeted();
    }

    retry() {
        const wait = RETRY_MS[Math.min(this.failures++, RETRY_MS.length - 1)];
        this.mark("reconnecting");
        this.close();
        this.timer = window.setTimeout(() => this.open(), wait);
    }

    poll() {
        this.mark("polling");
        this.close();
        if (this.seen)
            this.event("reload", null);
        this.seen = true;
        this.greeted();
        this.timer = window.setTimeout(() => this.open(), POLL_MS);
    }
}
