/* A Kademlia node that does no I/O: time, randomness and datagrams are arguments.
 *
 * The loop: after each input (a datagram came, time passed, a command) poll until there is nothing
 * left to send and no event, then wait for a datagram or until khashmir_poll_timeout says.
 * examples/c/main.c does so with poll(2).
 *
 * Time is in microseconds since an origin of yours, of a clock that is monotonic.
 *
 * Threads: one call at a time for each node, from whatever thread; nodes share nothing.
 *
 * Pointers: every one is checked for null and for alignment, and must otherwise be good for what the
 * function says for the time of the call. Nothing that you pass is kept. An array of no elements may
 * be null.
 *
 * No call fails on what others send. What a call returns is a negative khashmir_error if it could not
 * do what it was asked; the node has not changed then, but for the time, and nothing was written.
 */
#ifndef KHASHMIR_H
#define KHASHMIR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum khashmir_error {
    /* A pointer is null or not aligned. */
    KHASHMIR_ERROR_POINTER = -1,
    /* An argument is not one of those that there are: a family, a prefix, a length. */
    KHASHMIR_ERROR_ARGUMENT = -2,
    /* Too many operations run, or are over and their events not yet polled: 256. */
    KHASHMIR_ERROR_TOO_MANY_OPERATIONS = -3,
    /* Too many values are published: 65,536. */
    KHASHMIR_ERROR_TOO_MANY_PUBLICATIONS = -4,
    /* A value is empty or longer than KHASHMIR_MAX_VALUE. */
    KHASHMIR_ERROR_VALUE_LENGTH = -5,
    /* An address is of a family that is off, private and in no local network, or has port 0. */
    KHASHMIR_ERROR_ADDRESS_NOT_ALLOWED = -6,
    /* A buffer is smaller than KHASHMIR_MAX_DATAGRAM. */
    KHASHMIR_ERROR_BUFFER = -7,
    /* A bug of ours. The node can only be freed: whatever else is asked of it returns this. */
    KHASHMIR_ERROR_BUG = -8
};

/* What went wrong, as a static string that ends in a zero byte; never null. */
const char *khashmir_error_text(int32_t error);

enum { KHASHMIR_ID_LEN = 20, KHASHMIR_SEED_LEN = 32 };

/* The longest value of a put, and the longest datagram that a node sends, in bytes. */
enum { KHASHMIR_MAX_VALUE = 1299, KHASHMIR_MAX_DATAGRAM = 1472 };

/* Address families; an address has one of them, options have either or both. */
enum { KHASHMIR_IPV4 = 1, KHASHMIR_IPV6 = 2 };

typedef struct khashmir_address {
    /* In network order; of IPv4 the first four bytes. */
    uint8_t ip[16];
    /* In the machine's order. */
    uint16_t port;
    uint8_t family;
} khashmir_address;

/* A prefix of addresses. */
typedef struct khashmir_network {
    uint8_t ip[16];
    uint8_t family;
    /* How many leading bits count: up to 32 or 128. */
    uint8_t prefix;
} khashmir_network;

typedef struct khashmir_options {
    /* Networks whose private addresses are allowed, such as 127.0.0.0/8 for a test. */
    const khashmir_network *local_networks;
    size_t local_networks_len;
    /* KHASHMIR_IPV4, KHASHMIR_IPV6, or both: what the node can send to. */
    uint8_t families;
} khashmir_options;

typedef struct khashmir_contact {
    uint8_t id[KHASHMIR_ID_LEN];
    khashmir_address address;
} khashmir_contact;

/* A node. */
typedef struct khashmir_node khashmir_node;

/* Makes a node that knows nobody, to be freed with khashmir_node_free. All its randomness comes from
 * the seed of KHASHMIR_SEED_LEN bytes: unpredictable ones, others at each start. Returns 0. */
int32_t khashmir_node_new(const khashmir_options *options, const uint8_t *seed, uint64_t now,
                          khashmir_node **node);

/* Frees a node, and all that its events pointed to. Null is fine. */
void khashmir_node_free(khashmir_node *node);

/* Writes the node's id, KHASHMIR_ID_LEN bytes. Returns 0. */
int32_t khashmir_node_id(khashmir_node *node, uint8_t *id);

/* A datagram came from there. Returns 0, whatever is in it. */
int32_t khashmir_handle_datagram(khashmir_node *node, uint64_t now, const khashmir_address *from,
                                 const uint8_t *datagram, size_t datagram_len);

/* A datagram to there could not be delivered (ICMP): requests there fail now. Returns 0. */
int32_t khashmir_handle_unreachable(khashmir_node *node, uint64_t now, const khashmir_address *to);

/* Time has passed. Returns 0. */
int32_t khashmir_handle_timeout(khashmir_node *node, uint64_t now);

/* Writes the next datagram to be sent into the buffer, of KHASHMIR_MAX_DATAGRAM bytes or more, its
 * length, and where it goes. Returns 1, or 0 if there is nothing to send. */
int32_t khashmir_poll_transmit(khashmir_node *node, uint8_t *buffer, size_t buffer_len, size_t *len,
                               khashmir_address *to);

/* When khashmir_handle_timeout is to be called, if nothing comes before. Returns 1, or 0 for never. */
int32_t khashmir_poll_timeout(khashmir_node *node, uint64_t *at);

/* Commands. Each starts an operation, which ends in exactly one event whose name ends in FINISHED.
 * They write the operation's number, which is not used again, and return 0. */

/* Enters the network through these nodes; with none, waits for others. */
int32_t khashmir_join(khashmir_node *node, uint64_t now, const khashmir_address *bootstrap,
                      size_t bootstrap_len, uint64_t *operation);

/* Asks whether a node is there. */
int32_t khashmir_ping(khashmir_node *node, uint64_t now, const khashmir_address *address,
                      uint64_t *operation);

/* Looks up who is closest to an id of KHASHMIR_ID_LEN bytes. */
int32_t khashmir_find_node(khashmir_node *node, uint64_t now, const uint8_t *target,
                           uint64_t *operation);

/* Looks up the values under a key of KHASHMIR_ID_LEN bytes, until so many are found. */
int32_t khashmir_get(khashmir_node *node, uint64_t now, const uint8_t *key, size_t wanted,
                     uint64_t *operation);

/* Stores a value of 1 to KHASHMIR_MAX_VALUE bytes once; it is forgotten after some hours. */
int32_t khashmir_put(khashmir_node *node, uint64_t now, const uint8_t *key, const uint8_t *value,
                     size_t value_len, uint64_t *operation);

/* Stores a value as a put does, and again and again until khashmir_unpublish. */
int32_t khashmir_publish(khashmir_node *node, uint64_t now, const uint8_t *key,
                         const uint8_t *value, size_t value_len, uint64_t *operation);

/* Stops publishing a value. Returns 1, or 0 if it was not published. */
int32_t khashmir_unpublish(khashmir_node *node, uint64_t now, const uint8_t *key,
                           const uint8_t *value, size_t value_len);

/* Ends an operation, whose event is yet to be polled. Returns 1, or 0 if it did not run. */
int32_t khashmir_cancel(khashmir_node *node, uint64_t now, uint64_t operation);

/* Kinds of events, and which fields of khashmir_event they have besides. */
enum {
    /* None of these: made by a later version. */
    KHASHMIR_OTHER = 0,
    /* A get found a value: operation, value. */
    KHASHMIR_VALUE_FOUND = 1,
    /* operation, ending; if it is complete, who answered as the only contact, and round_trip. */
    KHASHMIR_PING_FINISHED = 2,
    /* operation, ending, contacts: the closest first. */
    KHASHMIR_FIND_NODE_FINISHED = 3,
    /* operation, ending, count: values found. */
    KHASHMIR_GET_FINISHED = 4,
    /* operation, ending, count: nodes that stored it, we ourselves included. */
    KHASHMIR_PUT_FINISHED = 5,
    /* operation, ending, count: contacts found. */
    KHASHMIR_JOIN_FINISHED = 6,
    /* address: where others see us. */
    KHASHMIR_OUTSIDE_ADDRESS_CHANGED = 7,
    KHASHMIR_CHECKPOINT_PASSED = 8
};

/* How an operation ended. */
enum {
    KHASHMIR_COMPLETE = 0,
    KHASHMIR_OUT_OF_TIME = 1,
    KHASHMIR_CANCELLED = 2,
    /* A ping was answered with something else. */
    KHASHMIR_BAD_ANSWER = 3,
    /* A ping was not sent: too many requests were outstanding. */
    KHASHMIR_BUSY = 4
};

typedef struct khashmir_event {
    uint32_t kind;
    uint32_t ending;
    uint64_t operation;
    uint64_t count;
    /* In microseconds. */
    uint64_t round_trip;
    /* These two stay good until the next khashmir_poll_event of the node, or until it is freed. */
    const uint8_t *value;
    size_t value_len;
    const khashmir_contact *contacts;
    size_t contacts_len;
    khashmir_address address;
} khashmir_event;

/* Writes what happened, oldest first; fields that it does not have are zero. Returns 1, or 0 if
 * nothing has happened. */
int32_t khashmir_poll_event(khashmir_node *node, khashmir_event *event);

#ifdef __cplusplus
}
#endif

#endif
