// The images that a service has had, and the way back to one.
import { address, get, post, servicePath } from "./api.js";
import { confirm } from "./dialog.js";
import { fill, h } from "./dom.js";
import { commitShort, imageShort } from "./format.js";
import { commit, empty, tag, when } from "./marks.js";

const SHOWN = 100;
const KINDS = { built: "built", rollback: "rolled back to", hand: "set by hand", given: "came with the CronJob" };

function goBack(image, { service, say }) {
    const row = service.status, name = `${row.namespace}/${row.name}`;
    return confirm({ title: `Roll ${name} back to ${commitShort(image.commit)}?`, verb: "Roll back", body: [
        h("p", null, h("bdi", null, image.subject ?? ""), " ", h("code", null, imageShort(image.image))),
        h("p", { class: "muted" }, "It is pinned to that image: pushes are not deployed to it until you let it ",
            "follow its branch again.")],
    act: async () => {
        const change = await post(servicePath(row, "rollback"), { to: image.build });
        say(`${name}: ${commitShort(row.live?.commit)} → ${commitShort(change.commit)}, pinned.`);
        await service.reload();
    } });
}

function row(image, context) {
    const may = !image.live && image.build && context.may("admin", context.service.status.namespace);
    return h("tr", null,
        h("th", { scope: "row" }, commit(image.commit), " ", h("bdi", null, image.subject ?? ""),
            image.author ? h("div", { class: "sub" }, h("bdi", null, image.author)) : null),
        h("td", null, h("code", { title: image.image }, imageShort(image.image)),
            image.live ? [" ", tag("live", "good")] : null),
        h("td", null, KINDS[image.kind] ?? image.kind,
            image.by ? h("div", { class: "sub" }, "by ", h("bdi", null, image.by)) : null),
        h("td", null, image.build ? h("a", { href: address(["builds", image.build]) }, image.build) : "–"),
        h("td", null, when(image.at)),
        h("td", { class: "action" }, may ? h("button", { type: "button", class: "small",
            onclick: () => goBack(image, context) },
        "Roll back", h("span", { class: "unseen" }, ` to ${commitShort(image.commit)}`)) : null));
}

/** @type {import("./main.js").Show} */
export async function show(place, params, context) {
    async function load() {
        const { images } = await get(servicePath(params, "images"), { limit: SHOWN });
        fill(place, images.length === 0 ? empty("No image yet", h("p", null, "The first build brings one."))
            : h("div", { class: "scroll" }, h("table", { class: "list" },
                h("caption", { class: "unseen" }, "Images, newest first"),
                h("thead", null, h("tr", null, ["Commit", "Image", "How", "Build", "When", "Action"].map((word) =>
                    h("th", { scope: "col" }, word)))),
                h("tbody", null, images.map((image) => row(image, context))))));
    }
    await load();
    return { update: ({ kind }) => void ((kind === "service" || kind === "reload") &&
        load().catch((problem) => context.say(problem.message, "bad"))) };
}
