/* A small gateway in C: an agent calls contacts, the contacts call back, and each reaches the right agent.
 *
 *   cc -Wall -Wextra -Werror -std=c99 -pedantic gateway.c -o gateway $(pkg-config --cflags --libs dialback) -pthread
 *   ./gateway [DIRECTORY]
 *
 * With a directory, recorded calls are still there when the directory is opened again. Exits with 0 on success.
 */
#define _POSIX_C_SOURCE 200809L

#include <dialback.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENVIRONMENT "00000000-0000-0000-0000-0000000000ee"
#define SALES "00000000-0000-0000-0000-00000000000a"
#define CALLBACKS "00000000-0000-0000-0000-00000000000b"
#define LINE "+12125550100"
#define WORKERS 4
#define CONTACTS 100

/* A real gateway would read its clock. */
static const uint64_t NOW = 1800000000000u;

static const char CONFIGURATION[] =
    "[{\"environment_set\": {\"name\": \"Acme\", \"lookback\": 2592000,"
    "   \"dial_plan\": {\"country_code\": \"1\", \"national_prefix\": \"1\", \"international_prefix\": \"011\"}}},"
    " {\"number_added\": {\"id\": \"00000000-0000-0000-0000-000000000001\", \"number\": \"" LINE "\"}},"
    " {\"agent_created\": {\"id\": \"" SALES "\", \"name\": \"Sales\", \"direction\": \"outbound\"}},"
    " {\"agent_created\": {\"id\": \"" CALLBACKS "\", \"name\": \"Callbacks\", \"direction\": \"inbound\"}},"
    " {\"calling_set\": {\"id\": \"" CALLBACKS "\", \"direction\": \"inbound\","
    "   \"numbers\": [\"00000000-0000-0000-0000-000000000001\"]}},"
    " {\"agent_published\": {\"id\": \"" CALLBACKS "\"}},"
    " {\"callback_set\": {\"id\": \"" CALLBACKS "\", \"sources\": [\"" SALES "\"]}}]";

static void fail(int line, const char *what)
{
    char message[512] = "";
    (void)dialback_last_error(message, sizeof message, NULL);
    fprintf(stderr, "gateway.c:%d: %s (last error: %s)\n", line, what, message);
    exit(1);
}

#define CHECK(condition) ((condition) ? (void)0 : fail(__LINE__, #condition))
#define OK(call) CHECK((call) == DIALBACK_STATUS_OK)

static dialback_text text(const char *string)
{
    dialback_text text;
    text.bytes = string;
    text.len = strlen(string);
    return text;
}

static dialback_decision resolve(dialback_handle engine, const char *caller)
{
    dialback_decision decision;
    memset(&decision, 0, sizeof decision);
    decision.size = sizeof decision;
    OK(dialback_resolve(engine, LINE, strlen(LINE), caller, strlen(caller), NOW, &decision));
    return decision;
}

static dialback_handle open_engine(const char *directory)
{
    dialback_options options;
    dialback_handle engine = 0;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.max_pairs = 10000;
    options.data_directory = text(directory);
    OK(dialback_open(&options, &engine));
    return engine;
}

static void record_calls(dialback_handle engine)
{
    static char contacts[CONTACTS][16];
    dialback_call calls[CONTACTS];
    dialback_recorded recorded;
    size_t i;

    memset(calls, 0, sizeof calls);
    for (i = 0; i < CONTACTS; i++) {
        sprintf(contacts[i], "+447700900%03u", (unsigned)i);
        calls[i].size = sizeof calls[i];
        calls[i].outcome = DIALBACK_OUTCOME_NO_ANSWER;
        calls[i].at_ms = NOW - 60000;
        calls[i].environment = text(ENVIRONMENT);
        calls[i].agent = text(SALES);
        calls[i].from = text(LINE);
        calls[i].to = text(contacts[i]);
    }
    memset(&recorded, 0, sizeof recorded);
    recorded.size = sizeof recorded;
    OK(dialback_record(engine, calls, CONTACTS, NOW, &recorded));
    CHECK(recorded.recorded + recorded.unchanged == CONTACTS && recorded.ignored == 0);
}

/* A worker thread. Half of its callers were called before, half were not. */
static void *take_calls(void *argument)
{
    dialback_handle engine = *(const dialback_handle *)argument;
    uintptr_t callbacks = 0;
    unsigned i;

    for (i = 0; i < 2 * CONTACTS; i++) {
        char caller[64];
        dialback_decision decision;
        memset(&decision, 0, sizeof decision);
        decision.size = sizeof decision;
        sprintf(caller, "\"Ann\" <sip:+447700900%03u@trunk.example>;tag=1", i);
        OK(dialback_route(engine, LINE, strlen(LINE), caller, strlen(caller), NOW, &decision));
        if (decision.route == DIALBACK_ROUTE_KIND_CALLBACK) {
            char agent[37];
            OK(dialback_id_text(decision.agent, agent, sizeof agent));
            CHECK(strcmp(agent, CALLBACKS) == 0);
            callbacks++;
        }
    }
    return (void *)callbacks;
}

static void take_calls_on_threads(dialback_handle engine)
{
    pthread_t workers[WORKERS];
    dialback_statistics_result statistics;
    int i;

    for (i = 0; i < WORKERS; i++)
        CHECK(pthread_create(&workers[i], NULL, take_calls, &engine) == 0);
    for (i = 0; i < WORKERS; i++) {
        void *callbacks;
        CHECK(pthread_join(workers[i], &callbacks) == 0);
        CHECK((uintptr_t)callbacks == CONTACTS);
    }
    memset(&statistics, 0, sizeof statistics);
    statistics.size = sizeof statistics;
    OK(dialback_statistics(engine, ENVIRONMENT, strlen(ENVIRONMENT), NOW, NOW, &statistics));
    CHECK(statistics.callbacks == WORKERS * CONTACTS && statistics.unmatched == WORKERS * CONTACTS);
    CHECK(statistics.pairs >= CONTACTS);
}

static void ask_in_all_ways(dialback_handle engine, int plant)
{
    const char *callers[3] = { "+447700900007", "anonymous", "+447700900999" };
    const uint32_t reasons[3] = { DIALBACK_REASON_MATCHED, DIALBACK_REASON_ANONYMOUS_CALLER, DIALBACK_REASON_NO_HISTORY };
    dialback_question questions[3];
    dialback_decision decisions[3];
    char *explanation;
    size_t needed = 0;
    int i;

    memset(decisions, 0, sizeof decisions);
    decisions[0].size = sizeof decisions[0];
    for (i = 0; i < 3; i++) {
        questions[i].dialed = text(LINE);
        questions[i].caller = text(callers[i]);
    }
    OK(dialback_resolve_batch(engine, questions, 3, NOW, decisions));
    for (i = 0; i < 3; i++)
        CHECK(decisions[i].status == DIALBACK_STATUS_OK && decisions[i].reason == reasons[i]);
    CHECK(decisions[0].called_at_ms == NOW - 60000 && decisions[0].outcome == DIALBACK_OUTCOME_NO_ANSWER);

    /* The first call returns the length, the second the text. */
    CHECK(dialback_explain(engine, LINE, strlen(LINE), callers[0], strlen(callers[0]), NOW, NULL, NULL, 0, &needed) ==
          DIALBACK_STATUS_SHORT_BUFFER);
    /* The planted error: the buffer is shorter than its stated size. */
    explanation = (char *)malloc(plant ? needed / 2 : needed);
    CHECK(explanation != NULL);
    OK(dialback_explain(engine, LINE, strlen(LINE), callers[0], strlen(callers[0]), NOW, NULL, explanation, needed, NULL));
    CHECK(strlen(explanation) + 1 == needed && strstr(explanation, "\"reason\":\"MATCHED\"") != NULL);
    printf("%s\n", explanation);
    free(explanation);
}

/* A call with an id and a context, which the agent of the callback sees. Only a data directory keeps them. */
static void record_with_details(dialback_handle engine, int has_directory)
{
    const char *contact = "+447700901000", *context = "{\"order\": 7}";
    dialback_detailed_call call;
    dialback_call_behind_result behind;
    dialback_decision decision;
    dialback_status status;
    char buffer[64];
    size_t needed = 0;

    memset(&call, 0, sizeof call);
    call.size = sizeof call;
    call.outcome = DIALBACK_OUTCOME_BUSY;
    call.at_ms = NOW - 60000;
    call.environment = text(ENVIRONMENT);
    call.agent = text(SALES);
    call.from = text(LINE);
    call.to = text(contact);
    call.call_id = text("order/7");
    call.context = text(context);
    status = dialback_record_with_details(engine, &call, 1, NOW, NULL);
    CHECK(status == (has_directory ? DIALBACK_STATUS_OK : DIALBACK_STATUS_NOT_KEPT));
    if (!has_directory)
        return;
    decision = resolve(engine, contact);
    memset(&behind, 0, sizeof behind);
    behind.size = sizeof behind;
    /* A real gateway routes the call without the context if the disk is slow. */
    do
        status = dialback_call_behind(engine, LINE, strlen(LINE), contact, strlen(contact), &decision, &behind, buffer,
                                      strlen(context), &needed);
    while (status == DIALBACK_STATUS_NOT_IN_TIME);
    CHECK(status == DIALBACK_STATUS_SHORT_BUFFER && needed == strlen(context) + 1);
    do
        status = dialback_call_behind(engine, LINE, strlen(LINE), contact, strlen(contact), &decision, &behind, buffer,
                                      sizeof buffer, NULL);
    while (status == DIALBACK_STATUS_NOT_IN_TIME);
    CHECK(status == DIALBACK_STATUS_OK && strcmp(buffer, context) == 0);
    CHECK(strcmp(behind.call_id, "order/7") == 0 && behind.call_id_len == 7 && behind.has_context == 1);
    CHECK(behind.outcome == DIALBACK_OUTCOME_BUSY && behind.called_at_ms == NOW - 60000);
}

static void make_mistakes(dialback_handle engine)
{
    dialback_decision decision;
    memset(&decision, 0, sizeof decision);
    CHECK(dialback_resolve(engine, LINE, strlen(LINE), "", 0, NOW, &decision) == DIALBACK_STATUS_INVALID_ARGUMENT);
    decision.size = sizeof decision;
    CHECK(dialback_resolve(engine, LINE, strlen(LINE), "\xff", 1, NOW, &decision) == DIALBACK_STATUS_INVALID_UTF8);
    CHECK(dialback_resolve(engine, NULL, 1, "", 0, NOW, &decision) == DIALBACK_STATUS_NULL);
    CHECK(dialback_resolve(engine, LINE, strlen(LINE), "", 0, NOW, NULL) == DIALBACK_STATUS_NULL);
    CHECK(dialback_resolve(0, LINE, strlen(LINE), "", 0, NOW, &decision) == DIALBACK_STATUS_NULL);
    CHECK(dialback_configure(engine, ENVIRONMENT, strlen(ENVIRONMENT), "[", 1, NOW, NULL) == DIALBACK_STATUS_INVALID_JSON);
    CHECK(strcmp(dialback_status_message(DIALBACK_STATUS_CLOSED), "the handle is closed or was never opened") == 0);
}

/* A forked child decides from its copy of the engine. It can change nothing, because it has none of the parent's threads. */
static void fork_a_worker(dialback_handle engine)
{
    int ends[2];
    char right = 0;
    pid_t child;
    CHECK(pipe(ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* The child may open its own engine. */
        dialback_handle own = open_engine("");
        OK(dialback_close(own));
        right = resolve(engine, "+447700900007").reason == DIALBACK_REASON_MATCHED &&
                dialback_configure(engine, ENVIRONMENT, strlen(ENVIRONMENT), "[]", 2, NOW, NULL) == DIALBACK_STATUS_FORKED &&
                dialback_close(engine) == DIALBACK_STATUS_FORKED;
        _exit(write(ends[1], &right, 1) == 1 ? 0 : 1);
    }
    /* The exit status is not used, because a memory checker changes it if the parent's threads are missing. */
    CHECK(close(ends[1]) == 0 && read(ends[0], &right, 1) == 1 && right == 1 && close(ends[0]) == 0);
    CHECK(waitpid(child, NULL, 0) == child);
}

int main(int argc, char **argv)
{
    int plant = argc > 1 && strcmp(argv[argc - 1], "--plant") == 0;
    const char *directory = argc - plant > 1 ? argv[1] : "";
    dialback_handle engine = open_engine(directory);
    uint64_t generation = 0, pairs = 0;
    dialback_decision decision;

    OK(dialback_configure(engine, ENVIRONMENT, strlen(ENVIRONMENT), CONFIGURATION, sizeof CONFIGURATION - 1, NOW, &generation));
    CHECK(generation == 1);
    record_calls(engine);
    take_calls_on_threads(engine);
    ask_in_all_ways(engine, plant);
    record_with_details(engine, *directory != '\0');
    make_mistakes(engine);
    fork_a_worker(engine);

    if (*directory != '\0') {
        OK(dialback_close(engine));
        engine = open_engine(directory);
        decision = resolve(engine, "+447700900007");
        CHECK(decision.reason == DIALBACK_REASON_MATCHED);
    }
    OK(dialback_erase(engine, ENVIRONMENT, strlen(ENVIRONMENT), "+447700900007", 13, NOW, &pairs));
    CHECK(pairs == 1);
    OK(dialback_purge(engine, NOW));
    decision = resolve(engine, "+447700900007");
    CHECK(decision.reason == DIALBACK_REASON_NO_HISTORY);
    OK(dialback_close(engine));
    CHECK(dialback_close(engine) == DIALBACK_STATUS_CLOSED);
    CHECK(dialback_resolve(engine, LINE, strlen(LINE), "", 0, NOW, &decision) == DIALBACK_STATUS_CLOSED);
    puts("all calls landed where they should");
    return 0;
}
