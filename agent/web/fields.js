// The fields of a service's document, in the groups in which forms show them. What is right for each is decided by
// the agent; the bounds here only help while typing.
/** @typedef {import("./form.js").Section} Section */

const YEAR = 31536000, COUNT = 1000;

/** @type {Section} */
export const IDENTITY = { title: "Service", fields: [
    { at: "/name", label: "Name", needed: true, hint: "nightly-report", help: "At most 52 of a–z, 0–9 and -." },
    { at: "/namespace", label: "Namespace", needed: true, hint: "reports", help: "Its environment." },
    { at: "/project", label: "Project", hint: "sales", help: "What it belongs to; lists are grouped by it." },
] };

/** @type {Section} */
export const GIT = { title: "Git repository", fields: [
    { at: "/source/git/repository", label: "Repository", needed: true, hint: "https://github.com/acme/report" },
    { at: "/source/git/branch", label: "Branch", hint: "main", help: "Its head is built, now and after each push." },
    { at: "/source/git/dockerfile", label: "Dockerfile", hint: "Dockerfile", help: "Relative to the context." },
    { at: "/source/git/context", label: "Context", hint: ".", help: "The directory that is built." },
    { at: "/image", label: "Push the image to", hint: "registry.example/acme/report", help: "Without a tag." },
    { at: "/source/git/target", label: "Stage", help: "Of the Dockerfile; default the last." },
    { at: "/source/git/paths", label: "Only when these change", kind: "lines", hint: "report/**",
        help: "Patterns, one a line; none: every push is built." },
    { at: "/source/git/buildArgs", label: "Build arguments", kind: "map", hint: "EDITION=full",
        help: "NAME=value, one a line. No secrets: images keep them." },
] };

/** @type {Section} */
export const IMAGE = { title: "Container image", fields: [
    { at: "/source/image", label: "Image", needed: true, hint: "registry.example/acme/report:1.4" },
] };

/** @type {Section} */
export const CONTAINER = { title: "Container", fields: [
    { at: "/container/command", label: "Command", kind: "lines",
        help: "Instead of the image's ENTRYPOINT, one word a line." },
    { at: "/container/args", label: "Arguments", kind: "lines", help: "Instead of the image's CMD, one a line." },
    { at: "/container/workingDir", label: "Working directory", hint: "/data" },
    { at: "/container/pullSecret", label: "Pull secret", help: "The Secret to pull the image with." },
] };

/** @type {Section} */
export const CRON = { title: "Cron settings", fields: [
    { at: "/history/failed", label: "Failed runs kept", kind: "number", min: 0, max: COUNT, hint: "1" },
    { at: "/history/succeeded", label: "Succeeded runs kept", kind: "number", min: 0, max: COUNT, hint: "3" },
    { at: "/schedule", label: "Expression", needed: true, hint: "0 3 * * *",
        help: "Minute, hour, day of month, month, day of week; or @daily, @every 90m." },
    { at: "/timeZone", label: "Time zone", hint: "Europe/Berlin", help: "Not set: the cluster's, usually UTC." },
    { at: "/restarts", label: "Restarts", kind: "number", min: 0, max: COUNT, hint: "3",
        help: "How often a failed run is tried again." },
    { at: "/maxDurationSeconds", label: "Maximum seconds", kind: "number", min: 1, max: YEAR,
        help: "A run with all its attempts is ended then. Not set: never." },
] };

/** @type {Section} */
export const TIMING = { title: "When runs meet, or are late", fields: [
    { at: "/concurrency", label: "While one is active", kind: "choice", words: ["Forbid", "Allow", "Replace"] },
    { at: "/startingDeadlineSeconds", label: "Latest start, seconds", kind: "number", min: 0, max: YEAR,
        help: "Later than that it is left out. Not set: however late." },
    { at: "/missed", label: "Missed times", kind: "choice", words: ["skip", "run"],
        help: "What start does about a time that has passed." },
    { at: "/firstRun", label: "First run", kind: "choice", words: ["never", "onStart", "onImage"],
        help: "Once beside the schedule." },
    { at: "/restartPolicy", label: "Restart policy", kind: "choice", words: ["Never", "OnFailure"],
        help: "Never keeps the log of each attempt." },
    { at: "/overrides", label: "One-off variables by", kind: "choice", words: ["admin", "runner"] },
] };

/** @type {Section} */
export const RESOURCES = { title: "Resources", fields: [
    { at: "/resources/requests/cpu", label: "CPU set aside", hint: "100m" },
    { at: "/resources/requests/memory", label: "Memory set aside", hint: "64Mi" },
    { at: "/resources/limits/cpu", label: "CPU at most", hint: "1" },
    { at: "/resources/limits/memory", label: "Memory at most", hint: "256Mi", help: "Beyond it the run is killed." },
] };

// A variable's value, or NAME/KEY of where it is from.
function readVariable({ name, value, secret, configMap }) {
    const from = secret ?? configMap;
    return { name, from: secret ? "Secret" : configMap ? "ConfigMap" : "value",
        value: from ? `${from.name}/${from.key}` : value ?? "" };
}

function writeVariable({ name, from, value }) {
    if (!name && !value)
        return null;
    const at = value.indexOf("/");
    const source = { name: value.slice(0, at < 0 ? undefined : at), key: at < 0 ? "" : value.slice(at + 1) };
    return { name,
        ...(from === "Secret" ? { secret: source } : from === "ConfigMap" ? { configMap: source } : { value }) };
}

/** @type {Section} */
export const ENVIRONMENT = { title: "Environment",
    note: "Of a Secret or ConfigMap: NAME/KEY. No secrets as values: whoever sees the CronJob reads them.",
    fields: [
    { at: "/env", label: "Variable", kind: "rows", read: readVariable, write: writeVariable, columns: [
        { key: "name", label: "Name", hint: "MODE" },
        { key: "from", label: "From", words: ["value", "Secret", "ConfigMap"], narrow: true },
        { key: "value", label: "Value, or NAME/KEY", hint: "full" }] },
] };

/** @type {Section} */
export const PORTS = { title: "Ports", fields: [
    { at: "/ports", label: "Port", kind: "rows",
        read: ({ name, port, protocol }) => ({ name, port, protocol }),
        write: ({ name, port, protocol }) => port || name
            ? { ...(name ? { name } : {}), port: Number(port) || port, protocol } : null,
        columns: [{ key: "name", label: "Name", hint: "metrics" },
            { key: "port", label: "Port", hint: "9090", narrow: true },
            { key: "protocol", label: "Protocol", words: ["TCP", "UDP", "SCTP"], narrow: true }] },
] };

const SECONDS = [["delaySeconds", "Delay, seconds", "0"], ["periodSeconds", "Every, seconds", "10"],
    ["timeoutSeconds", "Answer within, seconds", "1"], ["failures", "Failures in a row", "3"]];

// The name of a port, or its number.
const CHECKS = [["startup", "Startup", "Until it succeeds the others wait."],
    ["liveness", "Liveness", "A container for which it fails is killed."],
    ["readiness", "Readiness", "While it fails the pod is not ready."]];

/** @type {Section[]} */
export const HEALTH = CHECKS.map(([key, word, note]) => ({ title: `${word} check`, note, check: key, fields: [
    { at: `/healthChecks/${key}/http/path`, label: "HTTP path", hint: "/healthz" },
    { at: `/healthChecks/${key}/http/port`, label: "HTTP port", kind: "port",
        hint: "a port's name or number" },
    { at: `/healthChecks/${key}/http/scheme`, label: "Scheme", kind: "choice",
        words: ["", "HTTP", "HTTPS"] },
    { at: `/healthChecks/${key}/tcp/port`, label: "TCP port", kind: "port",
        hint: "instead of HTTP" },
    { at: `/healthChecks/${key}/exec/command`, label: "Command", kind: "lines",
        help: "Instead of either, one word a line." },
    ...SECONDS.map(([name, label, hint]) => ({ at: `/healthChecks/${key}/${name}`, label,
        kind: /** @type {const} */ ("number"), hint, min: 0 })),
] }));
