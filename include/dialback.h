/* Dialback, the C interface: which agent takes a call that comes back. Made by cbindgen from src/capi: do not edit. See docs/c.md.
 *
 * For every function:
 * - It returns a status, and writes its results only where that says so. dialback_last_error() tells this thread more.
 * - It may be called from any thread at any time; also with a handle that another thread is closing, or has closed.
 * - A pointer that is not null must be aligned and good for what its length or its structure's size field says, and nobody
 *   may write there while the call runs. Lengths are in bytes, texts are UTF-8 without a NUL at their end. Null with length 0 is
 *   the empty text.
 * - Set the size field of a structure to its sizeof and the rest to zero first: structures grow in later versions.
 * - It reads no clock: now_ms is your clock's milliseconds since 1970-01-01T00:00:00Z.
 * - It may not be called from a signal handler.
 */

#ifndef DIALBACK_H
#define DIALBACK_H

#include <stddef.h>
#include <stdint.h>
/* A text from a literal: dialback_text t = DIALBACK_TEXT("+15551234567"); */
#define DIALBACK_TEXT(literal) { (literal), sizeof(literal) - 1 }

/*
 How a call went. Every function returns one; whatever it is, the process lives and the handle can be used on.
 */
enum dialback_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   It is done.
   */
  DIALBACK_STATUS_OK = 0,
  /*
   A pointer that may not be null is, or the handle is zero.
   */
  DIALBACK_STATUS_NULL = 1,
  /*
   The handle was closed, or was never one.
   */
  DIALBACK_STATUS_CLOSED = 2,
  /*
   A text is not UTF-8.
   */
  DIALBACK_STATUS_INVALID_UTF8 = 3,
  /*
   The buffer is too short; how long it must be is in `needed`.
   */
  DIALBACK_STATUS_SHORT_BUFFER = 4,
  /*
   A size field, an identity, an outcome, a moment or a count that cannot be.
   */
  DIALBACK_STATUS_INVALID_ARGUMENT = 5,
  /*
   A text is not a phone number.
   */
  DIALBACK_STATUS_NOT_A_NUMBER = 6,
  /*
   The JSON is none, or is no list of changes.
   */
  DIALBACK_STATUS_INVALID_JSON = 7,
  /*
   The configuration was refused and nothing of it is in force. The message begins with the code of the reason.
   */
  DIALBACK_STATUS_REFUSED = 8,
  /*
   The store cannot be written. Nothing of it is in force; it may or may not be there after a restart. Decisions go on.
   */
  DIALBACK_STATUS_NOT_DURABLE = 9,
  /*
   The history is at its ceiling; so much of it as fits is in force.
   */
  DIALBACK_STATUS_FULL = 10,
  /*
   The data directory cannot be opened or read.
   */
  DIALBACK_STATUS_STORE = 11,
  /*
   As many handles are open as there can be.
   */
  DIALBACK_STATUS_TOO_MANY_HANDLES = 12,
  /*
   The handle was opened before this process was forked off, and this needs a thread that stayed behind.
   */
  DIALBACK_STATUS_FORKED = 13,
  /*
   A defect of the library: it panicked, and was caught.
   */
  DIALBACK_STATUS_PANICKED = 14,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum dialback_status dialback_status;
#else
typedef int32_t dialback_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 Where a call goes.
 */
enum dialback_route_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   Nowhere: there is no such number, or it has no default agent.
   */
  DIALBACK_ROUTE_KIND_UNROUTED = 0,
  /*
   To the dialed number's default agent.
   */
  DIALBACK_ROUTE_KIND_DEFAULT = 1,
  /*
   To the callback agent of the agent that called.
   */
  DIALBACK_ROUTE_KIND_CALLBACK = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum dialback_route_kind dialback_route_kind;
#else
typedef uint32_t dialback_route_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 Which line of the rule decided: its number.
 */
enum dialback_reason
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   The dialed number is not in the plan.
   */
  DIALBACK_REASON_UNKNOWN_NUMBER = 1,
  /*
   The caller is withheld, or not a number that can be held.
   */
  DIALBACK_REASON_ANONYMOUS_CALLER = 2,
  /*
   No outbound call is known.
   */
  DIALBACK_REASON_NO_HISTORY = 3,
  /*
   The source agent is gone, or feeds no callback agent.
   */
  DIALBACK_REASON_NO_CALLBACK_AGENT = 4,
  /*
   None of its callback agents owns the dialed number.
   */
  DIALBACK_REASON_NUMBER_NOT_OWNED = 5,
  /*
   None of those is published.
   */
  DIALBACK_REASON_CALLBACK_AGENT_UNPUBLISHED = 6,
  /*
   None of those takes the last call's outcome.
   */
  DIALBACK_REASON_OUTCOME_NOT_ELIGIBLE = 7,
  /*
   The call is older than the look-back of each of those.
   */
  DIALBACK_REASON_EXPIRED = 8,
  /*
   A callback agent remained.
   */
  DIALBACK_REASON_MATCHED = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum dialback_reason dialback_reason;
#else
typedef uint32_t dialback_reason;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 How an outbound call went. Of two reports of one call the higher stays.
 */
enum dialback_outcome
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   No call: in a decision only.
   */
  DIALBACK_OUTCOME_NONE = 0,
  /*
   Placed; nothing heard yet.
   */
  DIALBACK_OUTCOME_INITIATED = 1,
  /*
   The far end rings.
   */
  DIALBACK_OUTCOME_RINGING = 2,
  /*
   Somebody or something picked up.
   */
  DIALBACK_OUTCOME_ANSWERED = 3,
  /*
   Over after an answer.
   */
  DIALBACK_OUTCOME_COMPLETED = 4,
  /*
   Could not be placed, or broke.
   */
  DIALBACK_OUTCOME_FAILED = 5,
  /*
   Rang out.
   */
  DIALBACK_OUTCOME_NO_ANSWER = 6,
  /*
   The contact was on another call.
   */
  DIALBACK_OUTCOME_BUSY = 7,
  /*
   A machine answered.
   */
  DIALBACK_OUTCOME_VOICEMAIL = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum dialback_outcome dialback_outcome;
#else
typedef uint32_t dialback_outcome;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 What an acknowledged change survives.
 */
enum dialback_survives
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   A power failure: it is on the disk, synced.
   */
  DIALBACK_SURVIVES_POWER_FAILURE = 0,
  /*
   The end of the process, however it ends. A power failure may take the last second.
   */
  DIALBACK_SURVIVES_KILL = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum dialback_survives dialback_survives;
#else
typedef uint32_t dialback_survives;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 A text: so many bytes of UTF-8, with no NUL at the end. Null with length 0 is the empty text.
 */
typedef struct dialback_text {
  /*
   The first byte.
   */
  const char *bytes;
  /*
   How many there are.
   */
  size_t len;
} dialback_text;

/*
 How an engine is opened. Set `size` to the structure's size and the rest to zero first.
 */
typedef struct dialback_options {
  /*
   The size of this structure.
   */
  uint32_t size;
  /*
   A `DIALBACK_SURVIVES_...`. Without a data directory nothing survives the handle.
   */
  uint32_t survives;
  /*
   How many (number, contact) pairs may be held, 32 bytes of address space each; 0: a hundred million.
   */
  uint64_t max_pairs;
  /*
   The data directory, which is made where there is none. Empty: everything is in memory.
   */
  struct dialback_text data_directory;
} dialback_options;

/*
 An open engine. A number, not a pointer: one that was closed, or was made up, is refused. 0 is none.
 */
typedef uint64_t dialback_handle;

/*
 An outbound call that was placed, or whose status changed. Reports of one call share agent and `at_ms`.
 */
typedef struct dialback_call {
  /*
   The size of this structure.
   */
  uint32_t size;
  /*
   A `DIALBACK_OUTCOME_...`.
   */
  uint32_t outcome;
  /*
   When it was placed, in milliseconds since 1970-01-01T00:00:00Z.
   */
  uint64_t at_ms;
  /*
   The UUID of the tenant.
   */
  struct dialback_text environment;
  /*
   The UUID of the outbound agent that placed it.
   */
  struct dialback_text agent;
  /*
   The number of ours it was placed from: E.164, or as the environment's dial plan writes it.
   */
  struct dialback_text from;
  /*
   The contact, likewise.
   */
  struct dialback_text to;
} dialback_call;

/*
 What became of the calls that were recorded.
 */
typedef struct dialback_recorded {
  /*
   The size of this structure, set by the caller.
   */
  uint32_t size;
  /*
   For padding.
   */
  uint32_t reserved;
  /*
   Calls that are their pair's last now, or whose outcome is.
   */
  uint64_t recorded;
  /*
   Calls that were known already, or that something later followed.
   */
  uint64_t unchanged;
  /*
   Calls of no agent or number of the configuration, or of a contact that was erased.
   */
  uint64_t ignored;
} dialback_recorded;

/*
 Where a call goes.
 */
typedef struct dialback_decision {
  /*
   The size of this structure, set by the caller. What the library does not know of it is set to zero.
   */
  uint32_t size;
  /*
   How this decision went: `DIALBACK_STATUS_OK`, or why there is none (in a batch).
   */
  int32_t status;
  /*
   A `DIALBACK_ROUTE_KIND_...`.
   */
  uint32_t route;
  /*
   A `DIALBACK_REASON_...`.
   */
  uint32_t reason;
  /*
   A `DIALBACK_OUTCOME_...`: how the outbound call behind it went; `DIALBACK_OUTCOME_NONE` where there is none.
   */
  uint32_t outcome;
  /*
   For padding.
   */
  uint32_t reserved;
  /*
   Which configuration decided.
   */
  uint64_t generation;
  /*
   When the outbound call was placed; 0 where there is none.
   */
  uint64_t called_at_ms;
  /*
   The agent that takes the call, a UUID; zeros where nobody does.
   */
  uint8_t agent[16];
  /*
   The agent that placed the outbound call; zeros where there is none.
   */
  uint8_t source_agent[16];
} dialback_decision;

/*
 A call to decide, of many.
 */
typedef struct dialback_question {
  /*
   The number that was called.
   */
  struct dialback_text dialed;
  /*
   The caller, as the trunk sends it.
   */
  struct dialback_text caller;
} dialback_question;

/*
 Callbacks over some days of an environment, and what the engine holds.
 */
typedef struct dialback_statistics_result {
  /*
   The size of this structure, set by the caller.
   */
  uint32_t size;
  /*
   For padding.
   */
  uint32_t reserved;
  /*
   Calls that `dialback_route` sent to callback agents.
   */
  uint64_t callbacks;
  /*
   Calls to numbers of callback agents that no callback agent took.
   */
  uint64_t unmatched;
  /*
   (number, contact) pairs that are held, of all environments.
   */
  uint64_t pairs;
  /*
   How many configurations have been made, of all environments.
   */
  uint64_t generation;
} dialback_statistics_result;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 Opens an engine, in memory or on a data directory, which is durable. Null options: in memory. Returns when all that the
 directory holds is back. Starts threads: open after a fork, not before.
 */
dialback_status dialback_open(const struct dialback_options *options, dialback_handle *handle);

/*
 Closes the engine: waits for calls that are under way on other threads, makes durable what was handed in, lets go of the data
 directory. Whoever uses the handle from then on gets `DIALBACK_STATUS_CLOSED`.
 */
dialback_status dialback_close(dialback_handle handle);

/*
 Makes changes of an environment's configuration, from a JSON array of them (see docs/c.md): together, or none. `generation`, which may
 be null, gets the number of the configuration that is in force.
 */
dialback_status dialback_configure(dialback_handle handle,
                                   const char *environment,
                                   size_t environment_len,
                                   const char *changes,
                                   size_t changes_len,
                                   uint64_t now_ms,
                                   uint64_t *generation);

/*
 Records outbound calls; returns when they are durable, all with one sync. One that is wrong is named in the message, and none is recorded
 then. Safe to repeat, and in any order. `recorded` may be null.
 */
dialback_status dialback_record(dialback_handle handle,
                                const struct dialback_call *calls,
                                size_t count,
                                uint64_t now_ms,
                                struct dialback_recorded *recorded);

/*
 Decides where a call to `dialed` from `caller` goes. `dialed` is E.164; `caller` is whatever the trunk sends: a number, a URI, a From
 header, `anonymous`, nothing. Reads memory only: does not block, allocates nothing after a thread's first call, and is not counted in
 the statistics.
 */
dialback_status dialback_resolve(dialback_handle handle,
                                 const char *dialed,
                                 size_t dialed_len,
                                 const char *caller,
                                 size_t caller_len,
                                 uint64_t now_ms,
                                 struct dialback_decision *decision);

/*
 As `dialback_resolve`, of a call that is there to be routed and not only asked about: it is part of the statistics.
 */
dialback_status dialback_route(dialback_handle handle,
                               const char *dialed,
                               size_t dialed_len,
                               const char *caller,
                               size_t caller_len,
                               uint64_t now_ms,
                               struct dialback_decision *decision);

/*
 As `dialback_resolve`, with all that led to the decision, as JSON with a NUL at its end, in the caller's buffer. `needed`, which may be
 null, gets how long both are. A buffer that is too short is left as it is, but `decision`, which may be null, is written. Allocates.
 */
dialback_status dialback_explain(dialback_handle handle,
                                 const char *dialed,
                                 size_t dialed_len,
                                 const char *caller,
                                 size_t caller_len,
                                 uint64_t now_ms,
                                 struct dialback_decision *decision,
                                 char *buffer,
                                 size_t capacity,
                                 size_t *needed);

/*
 Decides `count` calls at once, on one configuration and as of one moment: cheaper than one by one where memory is what it waits for. Set
 the size of the first decision; the others lie that far behind each other. A question that is none has its status in its decision, and
 the first such status is returned; all others are decided. Allocates nothing where all are questions.
 */
dialback_status dialback_resolve_batch(dialback_handle handle,
                                       const struct dialback_question *first_question,
                                       size_t count,
                                       uint64_t now_ms,
                                       struct dialback_decision *first_decision);

/*
 Forgets a contact in an environment: calls up to and including `until_ms`, also those that are reported later. Returns when that is durable;
 `pairs`, which may be null, gets how many (number, contact) pairs were forgotten. The files are clean of it after `dialback_purge`.
 */
dialback_status dialback_erase(dialback_handle handle,
                               const char *environment,
                               size_t environment_len,
                               const char *contact,
                               size_t contact_len,
                               uint64_t until_ms,
                               uint64_t *pairs);

/*
 Removes from memory and disk what was erased, and what is older than the longest look-back and a day. Takes as long as rewriting the data
 directory; decisions and records go on meanwhile. Call it about once a day.
 */
dialback_status dialback_purge(dialback_handle handle, uint64_t now_ms);

/*
 What `dialback_route` counted in an environment, over the days (UTC) of the two moments and those in between. Waits until all that was
 counted so far is durable.
 */
dialback_status dialback_statistics(dialback_handle handle,
                                    const char *environment,
                                    size_t environment_len,
                                    uint64_t from_ms,
                                    uint64_t to_ms,
                                    struct dialback_statistics_result *statistics);

/*
 What the last call of this thread that failed has to say, with a NUL, in the caller's buffer: for people and logs. It holds no phone number.
 Calls that succeed leave it as it is, and so does this one.
 */
dialback_status dialback_last_error(char *buffer,
                                    size_t capacity,
                                    size_t *needed);

/*
 A status in a few words: a text that stays, with a NUL. Null where there is no such status.
 */
const char *dialback_status_message(int32_t status);

/*
 The name of a `DIALBACK_REASON_...`, such as `NO_HISTORY`: a text that stays, with a NUL. Null where there is no such reason.
 */
const char *dialback_reason_name(uint32_t reason);

/*
 The text of an identity, 36 characters and a NUL: `buffer` is good for 37.
 */
dialback_status dialback_id_text(const uint8_t *id, char *buffer, size_t capacity);

/*
 The 16 bytes of an identity's text, into `id`.
 */
dialback_status dialback_id_parse(const char *id_text, size_t id_len, uint8_t *id);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* DIALBACK_H */
