/*
 * Stands before libc's getaddrinfo (LD_PRELOAD), so that a test says what names stand for. The file named by RESOLVER_HOSTS is read
 * at each call: "name address..." are its addresses, "name unknown" has none, "name silent" gets no answer until the line is another.
 * Each name that is asked for is written to the file named by RESOLVER_LOG. What is not in the file libc answers.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int resolver(const char *, const char *, const struct addrinfo *, struct addrinfo **);

/* What stands behind the name in its line; 0 if it has none. */
static int find(const char *name, char *rest, size_t size)
{
    FILE *file = fopen(getenv("RESOLVER_HOSTS"), "r");
    char line[1024];
    int found = 0;
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL) {
        size_t length = strcspn(line, " \n");
        if (length == strlen(name) && strncmp(line, name, length) == 0) {
            snprintf(rest, size, "%.*s", (int)strcspn(line + length, "\n"), line + length);
            found = 1;
        }
    }

    if (file != NULL)
        fclose(file);
    return found;
}

static void tell(const char *name)
{
    FILE *file = fopen(getenv("RESOLVER_LOG"), "a");
    if (file != NULL) {
        fprintf(file, "%s\n", name);
        fclose(file);
    }
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    resolver *libc = (resolver *)dlsym(RTLD_NEXT, "getaddrinfo");
    char rest[1024];
    if (name == NULL || !find(name, rest, sizeof rest))
        return libc(name, service, hints, result);

    tell(name);
    while (strstr(rest, "silent") != NULL && find(name, rest, sizeof rest))
        usleep(10000);
    if (strstr(rest, "unknown") != NULL)
        return EAI_NONAME;

    struct addrinfo **end = result;
    char *next = rest;
    *result = NULL;
    for (char *address; (address = strsep(&next, " ")) != NULL;) {
        if (*address == '\0')
            continue;
        int status = libc(address, service, hints, end);
        if (status != 0)
            return status;
        while (*end != NULL)
            end = &(*end)->ai_next;
    }

    return *result == NULL ? EAI_NONAME : 0;
}
