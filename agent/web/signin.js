// Signing in: an admin token, once, for a session that the browser keeps in a cookie no script can read.
import { fill, h, submitting } from "./dom.js";
import { path, post } from "./api.js";
import { problemNotice } from "./marks.js";

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    const token = h("input", { id: "token", type: "password", name: "token", required: true,
        autocomplete: "current-password",
        spellcheck: "false", autocapitalize: "off", "aria-describedby": "token-help" });
    const button = h("button", { class: "primary wide" }, "Sign in");
    const wrong = h("div");
    const form = h("form", { class: "card signin", onsubmit: submitting(button, signIn) },
        h("h1", null, "Sign in to cronwright"),
        h("label", { for: "token" }, "Admin token"), token,
        h("p", { id: "token-help", class: "muted" }, "One of admin.tokens of the agent's settings. It is sent once; ",
            "the browser then keeps a session that ends by itself."),
        wrong, button);

    async function signIn() {
        fill(wrong);
        try {
            await context.signedIn(await post(path("session"), { token: token.value.trim() }));
        } catch (problem) {
            fill(wrong, problemNotice(problem.status === 401 ? { message: "No token of the settings is that one. " +
                "On the agent's machine: cronwright token makes one." } : problem));
            token.select();
        }
    }

    place.append(form);
    token.focus();
    return {};
}
