// Makes elements. The only way by which text gets onto the page: it becomes text nodes, and never markup,
// and what could not be seen in it is made visible (format.js). Knows nothing of the agent.
import { visible } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

/**
 * @typedef {Node|string|number|null|undefined|false|any[]} Child  also a list of such
 * @typedef {Object<string, any>} Props  "class"; "on…" takes a listener; "style" an object of properties;
 *   true is an attribute without a value; null, undefined and false are none; else an attribute
 */

function setProp(element, name, value) {
    if (value === null || value === undefined || value === false)
        return;
    if (name.startsWith("on"))
        element.addEventListener(name.slice(2), value);
    else if (name === "style")
        for (const [property, text] of Object.entries(value))
            element.style.setProperty(property, text);
    else if (name === "value")
        element.value = value;
    else
        element.setAttribute(name, value === true ? "" : name === "href" ? String(value) : visible(String(value)));
}

/** @param {ParentNode} parent @param {Child[]} children */
export function add(parent, ...children) {
    for (const child of children)
        if (Array.isArray(child))
            add(parent, ...child);
        else if (child instanceof Node)
            parent.append(child);
        else if (child !== null && child !== undefined && child !== false)
            parent.append(visible(String(child)));
    return parent;
}

function make(element, props, children) {
    for (const [name, value] of Object.entries(props ?? {}))
        setProp(element, name, value);
    return add(element, ...children);
}

/**
 * An HTML element. @param {string} tag @param {Props?} [props] @param {Child[]} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
    return make(document.createElement(tag), props, children);
}

/**
 * An SVG element. @param {string} tag @param {Props?} [props] @param {Child[]} children
 * @returns {any}
 */
export function svg(tag, props, ...children) {
    return make(document.createElementNS(SVG, tag), props, children);
}

const REACHED = "a, button, input, select, textarea, summary";

// Where the keyboard is within `element`; -1: elsewhere.
function focusIn(element) {
    const active = document.activeElement;
    return active && active !== element && element.contains(active)
        ? [...element.querySelectorAll(REACHED)].indexOf(active) : -1;
}

function focusOn(element, at) {
    if (at >= 0)
        element.querySelectorAll(REACHED)[at]?.focus({ preventScroll: true });
}

/**
 * Puts these in the place of all that is there. Whoever is in it by keyboard stays there, and what has been opened
 * stays open.
 * @param {Element} place @param {Child[]} children
 */
export function fill(place, ...children) {
    const at = focusIn(place), open = [...place.querySelectorAll("details")].map((details) => details.open);
    place.replaceChildren();
    add(place, ...children);
    if (open.includes(true))
        place.querySelectorAll("details").forEach((details, which) => details.open ||= open[which] ?? false);
    focusOn(place, at);
    return place;
}

/**
 * Makes the children of `parent` those of `items`, in their order. What is there already stays the same
 * element, so that selection and scrolling stay too, and the focus in any case. Children that were not made so
 * stay before them.
 * @template T
 * @param {Element} parent
 * @param {T[]} items
 * @param {(item: T) => string} key  by which an item is known again
 * @param {(item: T, old: Element|null) => Element} render  may return `old`, changed or as it is
 */
export function keyed(parent, items, key, render) {
    const own = [...parent.children].filter((child) => "key" in child);
    const old = new Map(own.map((child) => [child["key"], child]));
    let at = own[0] ?? null;
    for (const item of items) {
        const name = key(item), before = old.get(name) ?? null;
        const element = render(item, before);
        element["key"] = name;
        old.delete(name);
        if (before && before !== element) {
            if (at === before)
                at = element;
            const focus = focusIn(before);
            before.replaceWith(element);
            focusOn(element, focus);
        }
        if (element === at)
            at = at.nextElementSibling;
        else
            parent.insertBefore(element, at);
    }
    for (const left of old.values())
        left.remove();
}

/** A button that can be reached and does nothing: one that is disabled would lose the keyboard. */
export function still(button, is) {
    if (is)
        button.setAttribute("aria-disabled", "true");
    else
        button.removeAttribute("aria-disabled");
}

/** Does `work`, unless the button is still; it is until that is done. @param {() => Promise<void>} work */
export async function busy(button, work) {
    if (button.getAttribute("aria-disabled") === "true")
        return;
    still(button, true);
    try {
        await work();
    } finally {
        still(button, false);
    }
}

/** For "onsubmit": does `work` in the form's place, as busy() does. */
export const submitting = (button, work) => (event) => {
    event.preventDefault();
    busy(button, work);
};

/** Text with what is sought in it marked. @param {string} text @param {string} sought, in small letters */
export function marked(text, sought) {
    const at = sought ? text.toLowerCase().indexOf(sought) : -1;
    return at < 0 ? text
        : [text.slice(0, at), h("mark", null, text.slice(at, at + sought.length)), text.slice(at + sought.length)];
}
