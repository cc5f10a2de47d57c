// A fuzz target's main() without libFuzzer: feeds it every file of the directories given.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define INPUT_MAX ((size_t)16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void replay(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *room = malloc(INPUT_MAX);
    if (!file || !room) {
        perror(path);
        exit(1);
    }
    size_t size = fread(room, 1, INPUT_MAX, file);
    fclose(file);
    // Of exactly its size, so that the address sanitizer sees each step beyond it.
    uint8_t *input = malloc(size ? size : 1);
    if (!input)
        abort();
    for (size_t i = 0; i < size; i++)
        input[i] = room[i];
    free(room);
    LLVMFuzzerTestOneInput(input, size);
    free(input);
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int replay_all(const char *directory)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, is_input, alphasort);
    if (count < 0) {
        perror(directory);
        exit(1);
    }
    for (int i = 0; i < count; i++) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        replay(path);
        free(entries[i]);
    }
    free(entries);
    return count;
}

int main(int argc, char **argv)
{
    int count = 0;
    for (int i = 1; i < argc; i++)
        count += replay_all(argv[i]);
    printf("%d inputs\n", count);
    return count > 0 ? 0 : 1;
}
