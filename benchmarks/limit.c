/*
 * A server that gives every call the same answer, as fast as that can be: what the load could
 * reach at most.
 *
 *   limit SOCKET PAYLOAD
 *
 * The payload is in hexadecimal; it stands behind the call's own header, made a reply. Nothing is
 * decoded, checked or looked up. Runs until it is killed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD 28          /* bytes of length word and header */
#define BUFFER (1 << 16) /* bytes read at a time; a call must fit */
#define BATCH 256        /* events taken at a time */
#define PAYLOAD_MAX 256  /* bytes of an answer behind its header */

struct client {
    int fd;
    size_t held; /* bytes of input that make no whole packet yet */
    unsigned char input[BUFFER];
};

static unsigned char payload[PAYLOAD_MAX];
static uint32_t answer_size = HEAD;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        fail("path");
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, BATCH))
        fail("listen");
    return fd;
}

static void put_answer(unsigned char *to, const unsigned char *call)
{
    uint32_t size = htonl(answer_size), reply = htonl(1);
    memcpy(to, &size, 4);
    memcpy(to + 4, call + 4, HEAD - 4);
    memcpy(to + 16, &reply, 4);
    memcpy(to + HEAD, payload, answer_size - HEAD);
}

/* Whether the client is still there. */
static int serve(struct client *client)
{
    static unsigned char output[BUFFER / HEAD * (HEAD + PAYLOAD_MAX)];
    ssize_t got = recv(client->fd, client->input + client->held, BUFFER - client->held, 0);
    if (got <= 0)
        return 0;
    unsigned char *at = client->input, *end = at + client->held + got, *to = output;
    for (uint32_t size; end - at >= HEAD; at += size, to += answer_size) {
        memcpy(&size, at, 4);
        size = ntohl(size);
        if (size < HEAD || size > BUFFER)
            return 0;
        if (end - at < size)
            break;
        put_answer(to, at);
    }
    client->held = end - at;
    memmove(client->input, at, client->held);
    return send(client->fd, output, to - output, MSG_NOSIGNAL) == to - output;
}

static void watch(int epoll, int fd, void *client)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event))
        fail("epoll");
}

int main(int count, char **argument)
{
    if (count != 3 || strlen(argument[2]) > 2 * PAYLOAD_MAX) {
        fprintf(stderr, "limit: expected SOCKET PAYLOAD\n");
        return 2;
    }
    for (const char *hex = argument[2]; *hex; hex += 2)
        if (sscanf(hex, "%2hhx", &payload[answer_size++ - HEAD]) != 1)
            fail("payload");
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_at(argument[1]);
    watch(epoll, listener, NULL);
    for (;;) {
        struct epoll_event events[BATCH];
        int ready = epoll_wait(epoll, events, BATCH, -1);
        for (int number = 0; number < ready; number++) {
            struct client *client = events[number].data.ptr;
            if (!client) {
                if (!(client = calloc(1, sizeof *client)))
                    fail("memory");
                client->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                watch(epoll, client->fd, client);
            } else if (!serve(client)) {
                close(client->fd);
                free(client);
            }
        }
    }
}
