// Long lists, newest first: the older ones by a button, and what is newer as it comes.
import { h, keyed, fill } from "./dom.js";
import { inTurn } from "./api.js";
import { table } from "./marks.js";

const PAGE = 50;

export class Pages {
    /**
     * @param {object} about
     * @param {string} about.caption  of the table
     * @param {string[]} about.columns
     * @param {(item: any) => string} about.key
     * @param {(item: any) => Element} about.row
     * @param {(limit: number, last: any) => Promise<any[]>} about.ask  for those before `last`; the newest when null
     * @param {() => any} about.none  what is shown when there are none
     * @param {string} about.older  the button's word
     * @param {(text: string, tone: "bad") => void} about.say
     */
    constructor(about) {
        this.about = about;
        this.items = [];
        this.began = 0;
        this.body = h("tbody");
        this.table = table(about.caption, about.columns, this.body);
        this.none = h("div");
        this.older = h("button", { type: "button", hidden: true, onclick: () => this.told(this.loadOlder()) },
            about.older);
        this.element = [this.table, this.none, h("p", null, this.older)];
        /** The newest, asked anew; older ones that are shown stay. */
        this.load = inTurn(() => this.ask());
    }

    async ask() {
        const { began } = this, { key, ask } = this.about;
        const newest = await ask(PAGE, null);
        if (began !== this.began) // others are wanted by now
            return;
        const last = newest.length ? key(newest.at(-1)) : null;
        const at = this.items.findIndex((item) => key(item) === last);
        if (at < 0)
            this.older.hidden = newest.length < PAGE;
        this.show(at < 0 ? newest : [...newest, ...this.items.slice(at + 1)]);
    }

    async loadOlder() {
        const { began } = this, last = this.items.at(-1);
        const more = await this.about.ask(PAGE, last);
        if (began !== this.began || last !== this.items.at(-1))
            return;
        this.older.hidden = more.length < PAGE;
        this.show([...this.items, ...more]);
    }

    show(items) {
        this.items = items;
        keyed(this.body, items, this.about.key, this.about.row);
        this.table.hidden = items.length === 0;
        fill(this.none, items.length ? null : this.about.none());
    }

    /** Asks for others than before. */
    again() {
        this.began++;
        this.items = [];
        return this.refresh();
    }

    refresh() {
        return this.told(this.load());
    }

    told(work) {
        return work.catch((problem) => this.about.say(problem.message, "bad"));
    }
}
