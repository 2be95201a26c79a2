/* Two nodes in one loop of poll(2), in C: one puts a value, the other gets it.
 *
 *     examples/c/build target/khashmir-in-c && target/khashmir-in-c
 *
 * All that a node is lent stands here: a socket each, a clock, and a seed.
 */
#define _DEFAULT_SOURCE
#include <arpa/inet.h>
#include <khashmir.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct host {
    khashmir_node *node;
    int socket;
    khashmir_address address;
};

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* For calls that return a khashmir_error, or what was asked for. */
static int32_t check(int32_t returned) {
    if (returned < 0) {
        fprintf(stderr, "khashmir: %s\n", khashmir_error_text(returned));
        exit(1);
    }
    return returned;
}

static uint64_t now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static khashmir_address from_system(const struct sockaddr_in *in) {
    khashmir_address address = {.port = ntohs(in->sin_port), .family = KHASHMIR_IPV4};
    memcpy(address.ip, &in->sin_addr, 4);
    return address;
}

static struct sockaddr_in to_system(const khashmir_address *address) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    memcpy(&in.sin_addr, address->ip, 4);
    return in;
}

static struct host start(void) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof in;
    struct host host = {.socket = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)};
    if (host.socket < 0 || bind(host.socket, (struct sockaddr *)&in, len) < 0 ||
        getsockname(host.socket, (struct sockaddr *)&in, &len) < 0) {
        die("socket");
    }
    host.address = from_system(&in);

    uint8_t seed[KHASHMIR_SEED_LEN];
    if (getrandom(seed, sizeof seed, 0) != sizeof seed) {
        die("getrandom");
    }
    khashmir_network loopback = {.ip = {127}, .family = KHASHMIR_IPV4, .prefix = 8};
    khashmir_options options = {
        .local_networks = &loopback, .local_networks_len = 1, .families = KHASHMIR_IPV4};
    check(khashmir_node_new(&options, seed, now_us(), &host.node));
    return host;
}

static void receive(struct host *host) {
    uint8_t datagram[65536];
    struct sockaddr_in in;
    socklen_t len = sizeof in;
    ssize_t got;
    while ((got = recvfrom(host->socket, datagram, sizeof datagram, 0, (struct sockaddr *)&in, &len)) >= 0) {
        khashmir_address from = from_system(&in);
        check(khashmir_handle_datagram(host->node, now_us(), &from, datagram, (size_t)got));
    }
}

/* A datagram that the socket does not take is lost, as others are: the node sends it again. */
static void transmit(struct host *host) {
    uint8_t datagram[KHASHMIR_MAX_DATAGRAM];
    khashmir_address to;
    size_t len;
    while (check(khashmir_poll_transmit(host->node, datagram, sizeof datagram, &len, &to))) {
        struct sockaddr_in in = to_system(&to);
        sendto(host->socket, datagram, len, 0, (struct sockaddr *)&in, sizeof in);
    }
}

/* Tells what happened, and goes on with the story. Returns whether that was all of it. */
static bool tell(struct host hosts[2], const khashmir_event *event) {
    static const uint8_t key[] = "twenty bytes of hash", value[] = "hello from C";
    uint64_t operation;
    switch (event->kind) {
    case KHASHMIR_JOIN_FINISHED:
        printf("joined, contacts: %llu\n", (unsigned long long)event->count);
        check(khashmir_put(hosts[0].node, now_us(), key, value, sizeof value - 1, &operation));
        return false;
    case KHASHMIR_PUT_FINISHED:
        printf("put, copies: %llu\n", (unsigned long long)event->count);
        check(khashmir_get(hosts[1].node, now_us(), key, 1, &operation));
        return false;
    case KHASHMIR_VALUE_FOUND:
        printf("found: %.*s\n", (int)event->value_len, (const char *)event->value);
        return false;
    case KHASHMIR_GET_FINISHED:
        printf("got, values: %llu\n", (unsigned long long)event->count);
        return true;
    default:
        return false;
    }
}

/* How long to wait, in milliseconds; rounded up, since a wake-up too early would be for nothing. */
static int wait_ms(const struct host hosts[2]) {
    uint64_t now = now_us(), at, first = now + 60 * 1000000;
    for (int i = 0; i < 2; i++) {
        if (check(khashmir_poll_timeout(hosts[i].node, &at)) && at < first) {
            first = at;
        }
    }
    return first > now ? (int)((first - now + 999) / 1000) : 0;
}

int main(void) {
    struct host hosts[2] = {start(), start()};
    uint64_t operation;
    check(khashmir_join(hosts[1].node, now_us(), &hosts[0].address, 1, &operation));
    for (bool is_over = false; !is_over;) {
        khashmir_event event;
        for (int i = 0; i < 2; i++) {
            while (check(khashmir_poll_event(hosts[i].node, &event))) {
                is_over |= tell(hosts, &event);
            }
        }
        for (int i = 0; i < 2; i++) {
            transmit(&hosts[i]);
        }
        struct pollfd fds[2] = {{.fd = hosts[0].socket, .events = POLLIN},
                                {.fd = hosts[1].socket, .events = POLLIN}};
        if (!is_over && poll(fds, 2, wait_ms(hosts)) < 0) {
            die("poll");
        }
        for (int i = 0; i < 2; i++) {
            check(khashmir_handle_timeout(hosts[i].node, now_us()));
            receive(&hosts[i]);
        }
    }
    for (int i = 0; i < 2; i++) {
        khashmir_node_free(hosts[i].node);
        close(hosts[i].socket);
    }
    return 0;
}
