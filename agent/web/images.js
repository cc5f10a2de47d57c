// The images that a service has had, and the way back to one.
import { address, get, inTurn, servicePath } from "./api.js";
import { isEarlier, rollBack } from "./dialog.js";
import { fill, h } from "./dom.js";
import { commitShort, imageShort } from "./format.js";
import { commit, empty, table, tag, when } from "./marks.js";

const SHOWN = 100;
const KINDS = { built: "built", rollback: "rolled back to", hand: "set by hand", given: "came with the CronJob" };

function goBack(image, context) {
    return h("button", { type: "button", class: "small", onclick: () => rollBack([image], context, context.service) },
        "Roll back", h("span", { class: "unseen" }, ` to ${commitShort(image.commit)}`));
}

function row(images, at, context) {
    const image = images[at];
    const may = isEarlier(images, at) && context.may("admin", context.service.status.namespace);
    return h("tr", null,
        h("th", { scope: "row" }, commit(image.commit), " ", h("bdi", null, image.subject ?? ""),
            image.author ? h("div", { class: "sub" }, h("bdi", null, image.author)) : null),
        h("td", null, h("code", { title: image.image }, imageShort(image.image)),
            image.live ? [" ", tag("live", "good")] : null),
        h("td", null, KINDS[image.kind] ?? image.kind,
            image.by ? h("div", { class: "sub" }, "by ", h("bdi", null, image.by)) : null),
        h("td", null, image.build ? h("a", { href: address(["builds", image.build]) }, image.build) : "–"),
        h("td", null, when(image.at)),
        h("td", { class: "action" }, may ? goBack(image, context) : null));
}

/** @type {import("./service.js").ShowTab} */
export async function show(place, params, context) {
    const load = inTurn(async () => {
        const { images } = await get(servicePath(params, "images"), { limit: SHOWN });
        fill(place, images.length === 0 ? empty("No image yet", h("p", null, "The first build brings one."))
            : table("Images, newest first", ["Commit", "Image", "How", "Build", "When", "Action"],
                ...images.map((_, at) => row(images, at, context))));
    });
    await load();
    return { update: ({ kind }) => {
        if (kind === "service" || kind === "reload")
            load().catch((problem) => context.say(problem.message, "bad"));
    } };
}
