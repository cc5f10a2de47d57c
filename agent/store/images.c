#include "agent/store/db.h"

#include "agent/base/text.h"

#include <string.h>

static const char *const kind_words[] = {
    [IMAGE_BUILT] = "built", [IMAGE_ROLLBACK] = "rollback", [IMAGE_HAND] = "hand",
    [IMAGE_GIVEN] = "given", [IMAGE_KIND_COUNT] = NULL,
};

#define FIELD(kind, name) DB_FIELD(DB_KIND_##kind, image_record, name)
static const struct db_field fields[] = {
    FIELD(TEXT, uid),
    FIELD(TEXT, image),
    FIELD(TEXT, commit),
    FIELD(TEXT, subject),
    FIELD(TEXT, author),
    FIELD(TEXT, build),
    FIELD(TIME, at),
    FIELD(TEXT, by),
    {DB_KIND_WORD, offsetof(struct image_record, kind), sizeof(enum image_kind), kind_words},
};
#define FIELD_COUNT 9
static const struct db_record record = {fields, FIELD_COUNT};
_Static_assert(sizeof fields / sizeof *fields == FIELD_COUNT, "fields and columns");

// In the order of `fields`.
#define COLUMNS "uid, image, object, subject, author, build, at, person, kind"

const char *image_kind_word(enum image_kind kind)
{
    return kind_words[kind];
}

// --- adding ---

struct image_addition {
    struct image_record image;
    int64_t keep;
    store_image_done *done;
    void *user;
};

// Of whom the commit is: its build knows, or an earlier row of the same image.
static bool tell_commit(struct db *db, struct image_record *image, struct error *err)
{
    static const char of_build[] = "SELECT subject, author FROM builds "
                                   "WHERE id = ?1 AND object = ?2 AND credential = ?3";
    static const char of_image[] = "SELECT subject, author FROM images WHERE uid = ?1 "
                                   "AND image = ?2 AND object = ?3 ORDER BY id DESC LIMIT 1";
    int64_t build = 0;
    if (!*image->commit)
        return true;
    if (text_starts(image->build, "b-") && !text_to_int(image->build + 2, 1, INT64_MAX, &build))
        build = 0;
    CLEANUP(db_reset) struct statement *built = db_prepare(db, of_build, err);
    CLEANUP(db_reset) struct statement *before = built ? db_prepare(db, of_image, err) : NULL;
    if (!built || !before)
        return false;
    db_bind_int(built, 1, build);
    db_bind_text(built, 2, image->commit);
    db_bind_text(built, 3, image->credential);
    db_bind_text(before, 1, image->uid);
    db_bind_text(before, 2, image->image);
    db_bind_text(before, 3, image->commit);
    struct error why;
    struct statement *found = db_one(built, &why) ? built : db_one(before, &why) ? before : NULL;
    if (found) {
        db_text(found, 0, image->subject, sizeof image->subject);
        db_text(found, 1, image->author, sizeof image->author);
    }
    return true;
}

// Nothing, when it is the newest one already. Only the first one can have come with the CronJob: a
// later one that looks so was put there while nobody looked.
static bool insert(struct db *db, const struct image_record *image, struct error *err)
{
    static const char sql[] =
        "INSERT INTO images (" COLUMNS ") SELECT ?1,?2,?3,?4,?5,?6, iif(late, 0, ?7), ?8, "
        "iif(late, 'hand', ?9) FROM "
        "(SELECT ?9 = 'given' AND EXISTS (SELECT 1 FROM images WHERE uid = ?1) AS late) "
        "WHERE ?2 IS NOT (SELECT image FROM images WHERE uid = ?1 ORDER BY id DESC LIMIT 1)";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_record(statement, 1, &record, image);
    return db_run(statement, err);
}

static bool forget_oldest(struct db *db, const char *uid, int64_t keep, struct error *err)
{
    static const char sql[] =
        "DELETE FROM images WHERE uid = ?1 AND id < "
        "(SELECT id FROM images WHERE uid = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)";
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, uid);
    db_bind_int(statement, 2, keep > 1 ? keep - 1 : 0);
    return db_run(statement, err);
}

static bool apply_addition(struct db *db, void *data, struct error *err)
{
    struct image_addition *addition = data;
    return tell_commit(db, &addition->image, err) && insert(db, &addition->image, err) &&
           forget_oldest(db, addition->image.uid, addition->keep, err);
}

static void finish_addition(void *data, bool committed)
{
    CLEANUP(free_ptr) struct image_addition *addition = data;
    addition->done(addition->user, committed);
}

void store_image_add(struct store *store, const struct image_record *image, int64_t keep,
                     store_image_done *done, void *user)
{
    struct image_addition *addition = xalloc(sizeof *addition);
    *addition = (struct image_addition){*image, keep, done, user};
    if (!store_change_later(store, apply_addition, finish_addition, addition))
        finish_addition(addition, false);
}

// --- reading ---

bool store_image_list(struct store *store, const char *uid, int limit,
                      bool (*each)(void *user, const struct image_record *), void *user,
                      struct error *err)
{
    static const char sql[] =
        "SELECT " COLUMNS " FROM images WHERE uid = ?1 ORDER BY id DESC LIMIT ?2";
    CLEANUP(store_reader_release) struct db *db = store_reader(store);
    CLEANUP(db_reset) struct statement *statement = db_prepare(db, sql, err);
    if (!statement)
        return false;
    db_bind_text(statement, 1, uid);
    db_bind_int(statement, 2, store_page(limit));
    struct image_record image;
    enum db_step step;
    while ((step = db_step(statement, err)) == DB_ROW) {
        db_read_record(statement, 0, &record, &image);
        if (!each(user, &image))
            return true;
    }
    return step == DB_DONE;
}
