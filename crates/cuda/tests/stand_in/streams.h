// Streams and events as the manual describes them, and nothing more: what no event orders happens in the worst order.
//
// Nothing runs until somebody waits for it. With SERIN_STAND_IN_COPIES=early copies run instead as soon as the events
// allow that their stream waits for, ahead of all kernels that no event puts before them.

#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

struct Stream;

// How often it was recorded, how often that came to pass, and where.
struct Event {
    uint64_t recorded = 0, passed = 0;
    Stream* on = nullptr;
};

// Work, or an event that passes, or one that is waited for.
struct Task {
    std::function<void()> work;
    Event* event = nullptr;
    uint64_t count = 0;
    bool waits = false;

    bool ready() const { return !waits || event->passed >= count; }
};

// What a stream that is being captured collects.
struct Capture {
    std::vector<Task> tasks;
    std::thread::id thread;
    bool local = false, broken = false;
};

struct Stream {
    std::deque<Task> tasks;
    Capture* capture = nullptr;
    bool copies = false;

    void enqueue(Task task);
};

inline std::recursive_mutex one_at_a_time;
inline std::vector<Stream*> all_streams;

#define LOCKED std::lock_guard<std::recursive_mutex> locked(one_at_a_time)

inline bool copies_are_early() {
    const char* when = std::getenv("SERIN_STAND_IN_COPIES");
    return when && std::strcmp(when, "early") == 0;
}

// Runs the first task, which must be ready.
inline void step(Stream& stream) {
    Task task = std::move(stream.tasks.front());
    stream.tasks.pop_front();
    if (task.work) task.work();
    if (task.event && !task.waits) task.event->passed = task.count;
}

inline void advance_copies() {
    if (!copies_are_early()) return;
    for (Stream* stream : all_streams) {
        while (stream->copies && !stream->tasks.empty() && stream->tasks.front().ready()) step(*stream);
    }
}

// Runs a stream to its end, or until an event has passed; others only as far as it waits for them.
inline void finish(Stream& stream, const Event* until = nullptr, uint64_t count = 0) {
    while (!stream.tasks.empty() && !(until && until->passed >= count)) {
        // A copy: other streams may add to it on the way.
        Task first = stream.tasks.front();
        if (!first.ready()) {
            finish(*first.event->on, first.event, first.count);
            if (!first.ready()) std::fprintf(stderr, "a stream waits for ever\n"), std::abort();
            continue;
        }
        step(stream);
        advance_copies();
    }
}

inline void finish_all() {
    for (Stream* stream : all_streams) finish(*stream);
}

inline void Stream::enqueue(Task task) {
    if (capture) {
        capture->tasks.push_back(std::move(task));
    } else {
        tasks.push_back(std::move(task));
        advance_copies();
    }
}
