#include "agent/base/buffer.h"
#include "agent/config_read.h"

#include <string.h>

#define WIDTH  96 // of the example file
#define INDENT 2

// --- the words of one setting ---

// What follows the help: "required", the bounds, the choices. The caller frees.
static char *bounds_of(const struct config_setting *setting)
{
    struct buffer text = {0};
    bool ok = true;
    if (!setting->standard && setting->type != CONFIG_GROUP)
        ok = buffer_printf(&text, NULL, "required");
    if (setting->type == CONFIG_INT || setting->type == CONFIG_SIZE ||
        setting->type == CONFIG_DURATION) {
        char min[CONFIG_AMOUNT_SIZE], max[CONFIG_AMOUNT_SIZE];
        config_amount(setting->type, setting->min, min);
        config_amount(setting->type, setting->max, max);
        ok = ok && buffer_printf(&text, NULL, "%s to %s", min, max);
    }
    for (size_t i = 0; setting->words && setting->words[i]; i++)
        ok = ok && buffer_printf(&text, NULL, "%s%s",
                                 i                     ? ", "
                                 : *buffer_text(&text) ? "; "
                                                       : "",
                                 setting->words[i]);
    if (config_in_scope(setting, "") && setting->restart)
        ok = ok && buffer_printf(&text, NULL, "%sneeds a restart", *buffer_text(&text) ? "; " : "");
    if (!ok)
        abort();
    return text.data ? text.data : xstrdup("");
}

// The default as text, "none" for an empty one. NULL: there is none because it is required.
static const char *default_of(const struct config_setting *setting)
{
    static const char *const empty[] = {"\"\"", "[]", "{}"};
    for (size_t i = 0; setting->standard && i < sizeof empty / sizeof empty[0]; i++)
        if (strcmp(setting->standard, empty[i]) == 0)
            return "none";
    return setting->standard;
}

// --- the example file ---

// Text wrapped into lines that start with `lead`.
static void put_comment(FILE *out, const char *lead, const char *text, const char *bounds)
{
    CLEANUP(free_ptr)
    char *whole = *bounds ? xasprintf("%s (%s)", text, bounds) : xstrdup(text);
    size_t column = 0;
    char *rest = NULL;
    for (char *word = strtok_r(whole, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (column > 0 && column + 1 + strlen(word) > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        column += (size_t)fprintf(out, "%s%s", column ? " " : lead, word);
    }
    fputc('\n', out);
}

static const char *shown_value(const struct config_setting *setting)
{
    return setting->example ? setting->example : setting->standard;
}

static const struct config_setting *find(const char *key, size_t len)
{
    for (size_t i = 0; i < config_setting_count; i++)
        if (strncmp(config_settings[i].key, key, len) == 0 && config_settings[i].key[len] == '\0')
            return &config_settings[i];
    return NULL;
}

// Opens the groups of `key` that the setting before it was not in; gives the indentation.
static int open_groups(FILE *out, const char *key, const char *before)
{
    int indent = 0;
    for (const char *dot = strchr(key, '.'); dot; dot = strchr(dot + 1, '.')) {
        size_t len = (size_t)(dot - key);
        if (strncmp(key, before, len + 1) != 0) {
            const char *name = memrchr(key, '.', len);
            const struct config_setting *group = find(key, len);
            CLEANUP(free_ptr) char *lead = xasprintf("%*s# ", indent, "");
            if (indent == 0)
                fputc('\n', out);
            if (group)
                put_comment(out, lead, group->help, "");
            name = name ? name + 1 : key;
            fprintf(out, "%*s%.*s:\n", indent, "", (int)(dot - name), name);
        }
        indent += INDENT;
    }
    return indent;
}

// One setting, commented out: "#key: value". That of a list's item is further in.
static void put_setting(FILE *out, const struct config_setting *setting, int indent, bool item,
                        bool first)
{
    const char *name = strrchr(setting->key, '.');
    name = name ? name + 1 : setting->key;
    CLEANUP(free_ptr) char *bounds = bounds_of(setting);
    CLEANUP(free_ptr)
    char *lead = item ? xasprintf("%*s#  %s# ", indent, "", first ? "" : "  ")
                      : xasprintf("%*s# ", indent, "");
    put_comment(out, lead, setting->help, bounds);
    fprintf(out, "%*s#%s%s:", indent, "", !item ? "" : first ? "  - " : "    ", name);
    if (setting->type == CONFIG_LIST)
        fputc('\n', out);
    else
        fprintf(out, " %s\n", shown_value(setting));
}

void config_doc_example(FILE *out)
{
    fputs(
        "# Settings of the cronwright agent. Check them: cronwright agent --check --config FILE\n"
        "#\n"
        "# A line that starts with # and no space shows the default, or an example where there is\n"
        "# none. Durations are 500ms, 10s, 5m, 1h, 7d; sizes 900KiB, 25MiB, 2GiB. Secrets are "
        "read\n"
        "# from files alone. Relative paths start from this file's directory; a path may be a\n"
        "# credential of the systemd unit (LoadCredential=): \"${CREDENTIALS_DIRECTORY}/NAME\".\n"
        "#\n"
        "# SIGHUP (systemctl reload cronwright) has this file and the files it names read again: "
        "all\n"
        "# takes effect at once but what \"needs a restart\". A file with an error changes "
        "nothing.\n",
        out);
    const char *before = "";
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        if (setting->type == CONFIG_GROUP)
            continue;
        const char *brackets = strstr(setting->key, "[].");
        CLEANUP(free_ptr)
        char *path = brackets ? xstrndup(setting->key, (size_t)(brackets - setting->key))
                              : xstrdup(setting->key);
        int indent = open_groups(out, path, before);
        if (!brackets && indent == 0)
            fputc('\n', out);
        bool first =
            brackets && strncmp(before, setting->key, (size_t)(brackets - setting->key) + 3) != 0;
        put_setting(out, setting, indent, brackets != NULL, first);
        before = setting->key;
    }
}

// --- help and manual ---

void config_doc_help(FILE *out)
{
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        if (setting->type == CONFIG_GROUP)
            continue;
        CLEANUP(free_ptr) char *bounds = bounds_of(setting);
        const char *standard = default_of(setting);
        fprintf(out, "  %s%s%s%s%s\n", setting->key, standard ? " = " : "",
                standard ? standard : "", *bounds ? "  " : "", bounds);
        put_comment(out, "      ", setting->help, "");
    }
}

static void put_roff(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '-' || *text == '\\')
            fputs(*text == '-' ? "\\-" : "\\e", out);
        else
            fputc(*text, out);
    }
}

static void put_man_setting(FILE *out, const struct config_setting *setting)
{
    CLEANUP(free_ptr) char *bounds = bounds_of(setting);
    const char *standard = default_of(setting);
    fputs(".TP\n.B ", out);
    put_roff(out, setting->key);
    fputs("\n", out);
    put_roff(out, setting->help);
    fputs("\n", out);
    if (standard) {
        fputs("Default: ", out);
        put_roff(out, standard);
        fputs(*bounds ? "; " : ".\n", out);
    }
    if (*bounds) {
        put_roff(out, bounds);
        fputs(".\n", out);
    }
}

void config_doc_man(FILE *out)
{
    fprintf(out,
            ".TH CRONWRIGHT.YAML 5 \"\" \"cronwright %s\"\n"
            ".SH NAME\n"
            "cronwright.yaml \\- settings of the cronwright agent\n"
            ".SH DESCRIPTION\n"
            "The agent reads one YAML file, by default\n"
            ".IR /etc/cronwright/cronwright.yaml .\n"
            "Unknown keys are errors. All errors are told at once by\n"
            ".BR \"cronwright agent \\-\\-check\" .\n"
            "Durations are written as 500ms, 10s, 5m, 1h or 7d, sizes as 900KiB, 25MiB or 2GiB.\n"
            "Secrets are read from files alone.\n"
            "On SIGHUP the agent reads this file, and the files it names, again:\n"
            "all takes effect at once but what needs a restart, of which changes are named in the\n"
            "log.\n"
            "A file with an error changes nothing; the log says what is wrong.\n"
            "Relative paths start from the directory of the settings file.\n"
            "A path that starts with\n.B ${CREDENTIALS_DIRECTORY}/\n"
            "is a credential of the systemd unit: see LoadCredential= in\n.BR systemd.exec (5).\n"
            "A dot below leads into a group, [] to each item of a list.\n"
            ".SH SETTINGS\n",
            CRONWRIGHT_VERSION);
    for (size_t i = 0; i < config_setting_count; i++) {
        const struct config_setting *setting = &config_settings[i];
        bool heading = setting->type == CONFIG_GROUP ||
                       (setting->type == CONFIG_LIST && !strchr(setting->key, '.'));
        if (heading) {
            fputs(".SS ", out);
            put_roff(out, setting->key);
            fputs("\n", out);
            put_roff(out, setting->help);
            fputs("\n", out);
        } else {
            put_man_setting(out, setting);
        }
    }
    fputs(".SH SEE ALSO\n.BR cronwright (1)\n", out);
}
