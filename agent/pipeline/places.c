#include "agent/pipeline/places.h"
#include "agent/base/buffer.h"
#include "agent/base/crypto.h"
#include "agent/base/text.h"

#include <stdlib.h>
#include <string.h>

struct waiting {
    char recipe[SHA256_HEX_SIZE];
    char *repository;
    char *branch;
    int64_t turn;
    struct mono_time asked;
};

struct places {
    struct waiting *items; // by turn
    size_t count;
};

struct places *places_create(void)
{
    return xalloc(sizeof(struct places));
}

static void take_out(struct places *places, size_t at)
{
    struct waiting *item = &places->items[at];
    free(item->repository);
    free(item->branch);
    memmove(item, item + 1, (--places->count - at) * sizeof *item);
}

void places_destroy(struct places *places)
{
    while (places && places->count > 0)
        take_out(places, places->count - 1);
    if (places)
        free(places->items);
    free(places);
}

static struct waiting *find(const struct places *places, const char *recipe)
{
    for (size_t i = 0; i < places->count; i++)
        if (strcmp(places->items[i].recipe, recipe) == 0)
            return &places->items[i];
    return NULL;
}

void places_leave(struct places *places, const char *recipe)
{
    struct waiting *item = find(places, recipe);
    if (item)
        take_out(places, (size_t)(item - places->items));
}

static void forget_old(struct places *places, struct mono_time now)
{
    for (size_t i = places->count; i > 0; i--)
        if (now.ms - places->items[i - 1].asked.ms > PLACES_FORGET_MS)
            take_out(places, i - 1);
}

void places_note(struct places *places, const struct place_request *request, struct mono_time now)
{
    forget_old(places, now);
    struct waiting *item = find(places, request->recipe);
    if (item) {
        item->asked = now;
        return;
    }
    places->items = xrealloc(places->items, (places->count + 1) * sizeof *places->items);
    size_t at = places->count++;
    for (; at > 0 && places->items[at - 1].turn > request->turn; at--)
        places->items[at] = places->items[at - 1];
    places->items[at] = (struct waiting){.repository = xstrdup(request->repository),
                                         .branch = xstrdup(request->branch),
                                         .turn = request->turn,
                                         .asked = now};
    text_copy(places->items[at].recipe, sizeof places->items[at].recipe, request->recipe);
}

// --- the order ---

struct round {
    const struct places_taken *taken;
    size_t *starting; // which items start, in order
    size_t count;
};

static bool is_there(const struct waiting *item, struct mono_time now)
{
    return now.ms - item->asked.ms <= PLACES_PATIENCE_MS;
}

static size_t under_way(const struct places_taken *taken, const char *repository)
{
    size_t count = 0;
    for (size_t i = 0; i < taken->count; i++)
        count += strcmp(taken->repositories[i], repository) == 0;
    return count;
}

static bool repository_has_room(const struct places *places, const struct round *round,
                                const char *repository)
{
    const struct places_taken *taken = round->taken;
    size_t count = under_way(taken, repository);
    for (size_t i = 0; i < round->count; i++)
        count += strcmp(places->items[round->starting[i]].repository, repository) == 0;
    return taken->max_per_repository == 0 || (int64_t)count < taken->max_per_repository;
}

static bool has_room(const struct round *round)
{
    return (int64_t)(round->taken->count + round->count) < round->taken->max;
}

// The items before `end` that start now, as if all did so at once. The caller frees `starting`.
static struct round play(const struct places *places, const struct places_taken *taken, size_t end,
                         struct mono_time now)
{
    struct round round = {.taken = taken, .starting = xalloc((end + 1) * sizeof(size_t))};
    for (size_t i = 0; i < end && has_room(&round); i++)
        if (is_there(&places->items[i], now) &&
            repository_has_room(places, &round, places->items[i].repository))
            round.starting[round.count++] = i;
    return round;
}

static size_t count_ahead(const struct places *places, size_t end, struct mono_time now)
{
    size_t count = 0;
    for (size_t i = 0; i < end; i++)
        count += is_there(&places->items[i], now);
    return count;
}

struct place_answer places_ask(struct places *places, const struct place_request *request,
                               const struct places_taken *taken, struct mono_time now)
{
    places_note(places, request, now);
    size_t at = (size_t)(find(places, request->recipe) - places->items);
    struct round round = play(places, taken, at, now);
    struct place_answer answer = {.repository_full =
                                      !repository_has_room(places, &round, request->repository),
                                  .ahead = count_ahead(places, at, now)};
    answer.may_start = has_room(&round) && !answer.repository_full;
    free(round.starting);
    if (answer.may_start)
        take_out(places, at);
    return answer;
}

bool places_first(const struct places *places, const struct places_taken *taken,
                  struct mono_time now, struct place_request *out)
{
    struct round round = play(places, taken, places->count, now);
    bool found = round.count > 0;
    if (found) {
        const struct waiting *item = &places->items[round.starting[0]];
        *out = (struct place_request){item->recipe, item->repository, item->branch, item->turn};
    }
    free(round.starting);
    return found;
}
