/*
 * Load for a server that speaks libvirt's RPC on a UNIX socket: the same call over and over.
 *
 *   load SOCKET CONNECTIONS IN_FLIGHT SECONDS PID PROGRAM VERSION PROCEDURE:PAYLOAD...
 *
 * Payloads are in hexadecimal. All calls but the last are made once on each connection before
 * the clock starts: what opens a session. The last one is kept in flight IN_FLIGHT times on each
 * connection for SECONDS, after a fifth of that time to warm up. Every reply must have status OK,
 * the header of its call, the serial of one that waits, and the size of the first such reply; the
 * calls still in flight at the end are waited for, too.
 *
 * Prints calls, seconds, and the processor seconds of this program and of process PID in that
 * time. Replies that came together are answered with one write, so that the server is the limit.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define HEAD 28            /* bytes of length word and header */
#define BUFFER (1 << 18)   /* bytes read at a time; a reply must fit */
#define BATCH 256          /* events taken at a time */
#define PATIENCE 10000     /* milliseconds without a reply after which the server is given up */

enum word { LENGTH, PROGRAM, VERSION, PROCEDURE, TYPE, SERIAL, STATUS };
enum { CALL, REPLY };

struct request {
    unsigned char *packet;
    size_t size;
};

struct connection {
    int fd;
    unsigned char *input, *output;
    size_t held;         /* bytes of input that make no whole packet yet */
    size_t queued, sent; /* bytes of output, and how many of them are gone */
    uint32_t *slots;     /* serials in flight; a serial's slot is its remainder by IN_FLIGHT */
    int blocked;         /* waits until the socket takes more */
};

static uint32_t in_flight;
static uint64_t replies, waiting;
static uint32_t reply_size;
static struct request load;
static int epoll;

/* The server, or whoever called us, is wrong. */
static void refuse(const char *what)
{
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

/* The system refused something. */
static void fail(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *get(size_t size)
{
    void *memory = calloc(1, size ? size : 1);
    if (!memory)
        fail("memory");
    return memory;
}

static uint32_t word(const unsigned char *packet, enum word which)
{
    uint32_t value;
    memcpy(&value, packet + 4 * which, 4);
    return ntohl(value);
}

static void set(unsigned char *packet, enum word which, uint32_t value)
{
    value = htonl(value);
    memcpy(packet + 4 * which, &value, 4);
}

static double now(clockid_t clock)
{
    struct timespec time;
    if (clock_gettime(clock, &time))
        fail("clock");
    return time.tv_sec + time.tv_nsec / 1e9;
}

static struct request parse(const char *program, const char *version, const char *text)
{
    char *hex;
    uint32_t procedure = strtoul(text, &hex, 0);
    if (*hex++ != ':' || strlen(hex) % 2)
        refuse("expected PROCEDURE:PAYLOAD");
    struct request request = {NULL, HEAD + strlen(hex) / 2};
    request.packet = get(request.size);
    set(request.packet, LENGTH, request.size);
    set(request.packet, PROGRAM, strtoul(program, NULL, 0));
    set(request.packet, VERSION, strtoul(version, NULL, 0));
    set(request.packet, PROCEDURE, procedure);
    set(request.packet, TYPE, CALL);
    for (size_t byte = HEAD; byte < request.size; byte++, hex += 2)
        if (sscanf(hex, "%2hhx", request.packet + byte) != 1)
            refuse("expected hexadecimal digits");
    return request;
}

static void check(const unsigned char *reply, const struct request *call, uint32_t serial)
{
    for (enum word which = PROGRAM; which <= PROCEDURE; which++)
        if (word(reply, which) != word(call->packet, which))
            refuse("a reply to another procedure");
    if (word(reply, TYPE) != REPLY || word(reply, STATUS) != 0)
        refuse("not a reply with status OK");
    if (word(reply, SERIAL) != serial)
        refuse("a reply to a call that was not made, or a second one");
}

/* Opening: one call at a time, blocking */

static void read_all(int fd, unsigned char *to, size_t size)
{
    for (ssize_t got; size; to += got, size -= got)
        if ((got = recv(fd, to, size, 0)) <= 0)
            refuse(got ? "no reply in ten seconds" : "the server hung up");
}

static void call_once(struct connection *one, struct request *request, uint32_t serial)
{
    set(request->packet, SERIAL, serial);
    if (send(one->fd, request->packet, request->size, MSG_NOSIGNAL) != (ssize_t)request->size)
        fail("send");
    read_all(one->fd, one->input, HEAD);
    uint32_t size = word(one->input, LENGTH);
    if (size < HEAD || size > BUFFER)
        refuse("a packet of a wrong size");
    read_all(one->fd, one->input + HEAD, size - HEAD);
    check(one->input, request, serial);
}

static void open_one(struct connection *one, const char *path, struct request *first, int count)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval patience = {PATIENCE / 1000, 0};
    if (strlen(path) >= sizeof address.sun_path)
        refuse("the socket's path is too long");
    strcpy(address.sun_path, path);
    one->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (one->fd < 0 || connect(one->fd, (struct sockaddr *)&address, sizeof address))
        fail("connect");
    setsockopt(one->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    one->input = get(BUFFER);
    one->output = get(in_flight * load.size);
    one->slots = get(in_flight * sizeof *one->slots);
    for (int number = 0; number < count; number++)
        call_once(one, &first[number], number);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, one->fd, &event))
        fail("epoll");
}

/* The load: whatever came is answered at once and together */

static void queue(struct connection *one, uint32_t serial)
{
    memcpy(one->output + one->queued, load.packet, load.size);
    set(one->output + one->queued, SERIAL, serial);
    one->queued += load.size;
    one->slots[serial % in_flight] = serial;
    waiting++;
}

static void flush(struct connection *one)
{
    size_t left = one->queued - one->sent;
    ssize_t gone = send(one->fd, one->output + one->sent, left, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (gone < 0 && errno != EAGAIN)
        fail("send");
    one->sent += gone < 0 ? 0 : gone;
    int blocked = one->sent < one->queued;
    if (!blocked)
        one->queued = one->sent = 0;
    if (blocked == one->blocked)
        return;
    one->blocked = blocked;
    /* Until its output is gone nothing more is read, so the output cannot outgrow its buffer. */
    struct epoll_event event = {.events = blocked ? EPOLLOUT : EPOLLIN, .data.ptr = one};
    if (epoll_ctl(epoll, EPOLL_CTL_MOD, one->fd, &event))
        fail("epoll");
}

static uint32_t take(struct connection *one, const unsigned char *reply, uint32_t size)
{
    uint32_t serial = word(reply, SERIAL);
    check(reply, &load, one->slots[serial % in_flight]);
    if (reply_size && size != reply_size)
        refuse("a reply of another size than the others");
    reply_size = size;
    replies++;
    waiting--;
    return serial;
}

static void serve(struct connection *one, int more)
{
    ssize_t got = recv(one->fd, one->input + one->held, BUFFER - one->held, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got < 0)
        fail("recv");
    if (got == 0)
        refuse("the server hung up");
    unsigned char *at = one->input, *end = at + one->held + got;
    while (end - at >= 4) {
        uint32_t size = word(at, LENGTH);
        if (size < HEAD || size > BUFFER)
            refuse("a packet of a wrong size");
        if (end - at < size)
            break;
        uint32_t serial = take(one, at, size);
        /* A serial that nobody waits for any more must not match a second reply. */
        one->slots[serial % in_flight] = serial + in_flight;
        if (more)
            queue(one, serial + in_flight);
        at += size;
    }
    one->held = end - at;
    memmove(one->input, at, one->held);
    if (one->queued)
        flush(one);
}

/* Until a time, or with none, until no call is in flight. */
static void run(double until)
{
    struct epoll_event events[BATCH];
    while (until ? now(CLOCK_MONOTONIC) < until : waiting > 0) {
        int count = epoll_wait(epoll, events, BATCH, PATIENCE);
        if (count < 0 && errno != EINTR)
            fail("epoll");
        if (count == 0)
            refuse("no reply in ten seconds");
        for (int number = 0; number < count; number++) {
            if (events[number].events & EPOLLOUT)
                flush(events[number].data.ptr);
            else
                serve(events[number].data.ptr, until > 0);
        }
    }
}

int main(int count, char **argument)
{
    if (count < 9)
        refuse("expected SOCKET CONNECTIONS IN_FLIGHT SECONDS PID PROGRAM VERSION CALL...");
    int connections = atoi(argument[2]), openers = count - 9;
    in_flight = atoi(argument[3]);
    double seconds = atof(argument[4]);
    if (connections < 1 || in_flight < 1 || !(seconds > 0))
        refuse("expected positive numbers");
    clockid_t server;
    if ((errno = clock_getcpuclockid(atoi(argument[5]), &server)))
        fail("process");
    struct request *first = get(openers * sizeof *first);
    for (int number = 0; number < openers; number++)
        first[number] = parse(argument[6], argument[7], argument[8 + number]);
    load = parse(argument[6], argument[7], argument[count - 1]);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    struct connection *all = get(connections * sizeof *all);
    for (int number = 0; number < connections; number++)
        open_one(&all[number], argument[1], first, openers);
    for (int number = 0; number < connections; number++) {
        for (uint32_t call = 0; call < in_flight; call++)
            queue(&all[number], openers + call);
        flush(&all[number]);
    }
    run(now(CLOCK_MONOTONIC) + seconds / 5);
    uint64_t before = replies;
    double own = now(CLOCK_PROCESS_CPUTIME_ID), theirs = now(server), start = now(CLOCK_MONOTONIC);
    run(start + seconds);
    double end = now(CLOCK_MONOTONIC);
    theirs = now(server) - theirs;
    own = now(CLOCK_PROCESS_CPUTIME_ID) - own;
    uint64_t calls = replies - before;
    run(0);
    printf("%llu %.6f %.6f %.6f\n", (unsigned long long)calls, end - start, own, theirs);
    return 0;
}
