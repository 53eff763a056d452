// The device source as host C++ under ThreadSanitizer: a host thread publishes and drains as crates/ring/src/live.rs
// does, workers run the kernel lease after lease, and every completion is checked. What x86 and a CPU's OpenCL driver
// hide, a missing order between host and device or between two workers, is reported here as a data race.
//
//   race IMAGES SLOTS SEED     (compiled with -DGM_LANES=L -DGM_GROUPS=G -DGM_LAUNCHES=C)
//
// IMAGES holds little-endian words: for the jobs SCAN (of the pattern "ab"), HISTOGRAM, LINES, CRC32C and BLAKE3, and
// for a program, the length of its image and the image. The program counts newlines and each 'a', and emits every
// newline. Behind them come chunks for BLAKE3: how many, and of each its offset, its length in bytes, how many parts it
// has, whether the first is a root, its bytes, filled up to whole words, and its parts.
// crates/megakernel/tests/race.rs writes it, compiles this file and runs it.

#include "../host.h"

#include "../numbers.h"
#include "../dialect.h"

// Words that all sides access atomically although the protocol says that an order protects them: without it they
// would be stale, not torn, which nothing reports. Relaxed accesses to them are made plain, so that it is a race.
// These words are, from one address to another, each `step`th:
struct Ordered {
    const gm_u32 *from;
    const gm_u32 *to;
    size_t step;
};
static Ordered ordered[11];
static inline bool is_ordered(const gm_u32 *p)
{
    for (const Ordered &words : ordered)
        if (p >= words.from && p < words.to)
            return (size_t)(p - words.from) % words.step == 0;
    return false;
}
static inline gm_u32 ordered_load(const gm_u32 *p)
{
    return is_ordered(p) ? *p : __atomic_load_n(p, __ATOMIC_RELAXED);
}
static inline void ordered_store(gm_u32 *p, gm_u32 value)
{
    if (is_ordered(p))
        *p = value;
    else
        __atomic_store_n(p, value, __ATOMIC_RELAXED);
}
#undef gm_sys_load
#undef gm_sys_store
#undef gm_dev_load
#undef gm_dev_store
#define gm_sys_load(p) ordered_load(p)
#define gm_sys_store(p, v) ordered_store((p), (v))
#define gm_dev_load(p) ordered_load(p)
#define gm_dev_store(p, v) ordered_store((p), (v))

#include "../vir0.h"

#include "../bytes.h"

#include "../scan.h"

#include "../blake3.h"
#include "../stream.h"

#include "../worker.h"

#include "../io.h"

#include "../megakernel.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>

namespace {

const gm_u32 SLOTS = 16;
const gm_u32 CHUNK_BYTES = 3100; // three leaves of BLAKE3 and a part of one
const gm_u32 CHUNK_STRIDE = 3136;
const gm_u32 MOST_BYTES = 200; // in chunks of the other opcodes
const gm_u32 RECORD_WORDS = 512;
const gm_u32 TENANTS = 2;
const gm_u32 OBSERVABLES = 16;
const gm_u32 DEBUG_RECORDS = 8;
const gm_u32 IO_SLOTS = 2;
const gm_u32 WORKERS = GM_GROUPS * GM_LAUNCHES;
const gm_u32 JOBS = 5;
const gm_u32 PROGRAM_OPCODE = GM_OP_TENANT_BASE + 7;

const gm_u32 PUBLISHED = 1;
const gm_u32 CHUNK_FREE = 0;

[[noreturn]] void fail(const std::string &what)
{
    std::printf("failed: %s\n", what.c_str());
    std::fflush(stdout);
    std::_Exit(1);
}

void expect(const char *what, gm_u32 slot, gm_u32 got, gm_u32 wanted)
{
    if (got != wanted)
        fail(std::string(what) + " of slot " + std::to_string(slot) + ": " + std::to_string(got) + " instead of " +
             std::to_string(wanted));
}

struct Chunks {
    std::vector<gm_u8> bytes = std::vector<gm_u8>(SLOTS * CHUNK_STRIDE);
    std::vector<gm_u32> states = std::vector<gm_u32>(SLOTS);
};

// What a slot must leave. Results and words of the record area are compared as far as they are given.
struct Expected {
    gm_u32 order = 0; // of its publication, from 1 on; 0 while the slot is free
    gm_u32 fault = GM_FAULT_NONE;
    std::vector<gm_u32> results;
    gm_u32 records = 0;
    std::vector<gm_u32> area;
    bool fence = false;
    gm_u32 added = 0; // by slots published before, to the observable that only grows
};

// Shared memory, laid out as the launch parameters at its begin say.
class Shared {
  public:
    Shared() : words(GM_LAUNCH_COUNTERS_FROM + 1)
    {
        set(GM_LAUNCH_SLOTS, SLOTS);
        set(GM_LAUNCH_RECORD_WORDS, RECORD_WORDS);
        set(GM_LAUNCH_CHUNK_BYTES, CHUNK_BYTES);
        set(GM_LAUNCH_CHUNK_STRIDE, CHUNK_STRIDE);
        set(GM_LAUNCH_CHUNKS, SLOTS);
        set(GM_LAUNCH_TENANTS, TENANTS);
        set(GM_LAUNCH_OBSERVABLES, OBSERVABLES);
        set(GM_LAUNCH_DEBUG_RECORDS, DEBUG_RECORDS);
        set(GM_LAUNCH_IO_SLOTS, IO_SLOTS);
        set(GM_LAUNCH_IDLE_POLLS, 50);
        set(GM_LAUNCH_LEASE_SLOTS, 40);
        part(GM_LAUNCH_SLOT_WORDS, SLOTS * GM_SLOT_WORDS);
        part(GM_LAUNCH_READY, SLOTS * GM_PRIORITY_COUNT);
        part(GM_LAUNCH_TAILS, GM_TAILS_CANCELLED + 1);
        part(GM_LAUNCH_ENTRIES, SLOTS * GM_COMPLETION_WORDS);
        part(GM_LAUNCH_CONTROL, GM_CONTROL_MIN_WORDS + OBSERVABLES);
        part(GM_LAUNCH_DEBUG, 1 + DEBUG_RECORDS * GM_DEBUG_RECORD_WORDS);
        part(GM_LAUNCH_WORKERS, WORKERS * GM_WORKER_WORDS);
        part(GM_LAUNCH_PROGRAMS, GM_DIRECTORY_ENTRIES * GM_DIRECTORY_WORDS);
        part(GM_LAUNCH_RECORDS, SLOTS * RECORD_WORDS);
        part(GM_LAUNCH_IO, IO_SLOTS * GM_IO_SLOT_WORDS);
        for (gm_u32 tenant = 0; tenant < TENANTS; tenant++)
            at(GM_LAUNCH_CONTROL)[GM_CONTROL_TENANT_MASKS + tenant] = 0xFFFFFFFF;
        for (gm_u32 tenant = 0; tenant < GM_CONTROL_TENANT_QUOTA_WORDS; tenant++)
            at(GM_LAUNCH_CONTROL)[GM_CONTROL_TENANT_QUOTAS + tenant] = tenant == 1 ? 2 : 1000000;
    }

    void set(gm_u32 parameter, gm_u32 value) { words[parameter] = value; }
    gm_u32 *at(gm_u32 parameter) { return &words[words[parameter]]; }
    gm_u32 *all() { return words.data(); }

  private:
    std::vector<gm_u32> words;

    void part(gm_u32 parameter, gm_u32 len)
    {
        words[parameter] = (gm_u32)words.size();
        words.resize(words.size() + len);
    }
};

// A chunk for BLAKE3.
struct Leaves {
    gm_u32 offset;
    std::vector<gm_u8> bytes;
    gm_u32 root;
    std::vector<gm_u32> parts;
};

std::vector<gm_u32> read_words(FILE *file, gm_u32 count)
{
    std::vector<gm_u32> words(count);
    if (std::fread(words.data(), 4, count, file) != count)
        fail("the images end early");
    return words;
}

std::vector<Leaves> read_leaves(FILE *file)
{
    std::vector<Leaves> all(read_words(file, 1)[0]);
    for (Leaves &one : all) {
        std::vector<gm_u32> head = read_words(file, 4);
        one.offset = head[0];
        one.root = head[3];
        std::vector<gm_u32> bytes = read_words(file, (head[1] + 3) / 4);
        one.bytes.resize(head[1]);
        if (!one.bytes.empty())
            std::memcpy(one.bytes.data(), bytes.data(), head[1]);
        one.parts = read_words(file, head[2] * GM_STREAM_BLAKE3_VALUE_WORDS);
    }
    return all;
}

// Images, one behind the other, and the list of jobs that the launch parameters point to; and the chunks for BLAKE3.
std::vector<gm_u32> read_tables(const char *path, Shared &shared, std::vector<Leaves> &leaves)
{
    std::vector<gm_u32> tables;
    gm_u32 jobs[1 + JOBS] = {JOBS};
    FILE *file = std::fopen(path, "rb");
    if (!file)
        fail("the images cannot be read");
    for (gm_u32 image = 0; image <= JOBS; image++) {
        gm_u32 begin = (gm_u32)tables.size();
        std::vector<gm_u32> words = read_words(file, read_words(file, 1)[0]);
        tables.insert(tables.end(), words.begin(), words.end());
        if (image < JOBS) {
            jobs[1 + image] = begin;
        } else {
            gm_u32 *entry = shared.at(GM_LAUNCH_PROGRAMS) + PROGRAM_OPCODE % GM_DIRECTORY_ENTRIES * GM_DIRECTORY_WORDS;
            entry[GM_DIRECTORY_OPCODE] = PROGRAM_OPCODE;
            entry[GM_DIRECTORY_IMAGE] = begin;
            entry[GM_DIRECTORY_LONGEST] = MOST_BYTES;
        }
    }
    leaves = read_leaves(file);
    std::fclose(file);
    shared.set(GM_LAUNCH_JOBS, (gm_u32)tables.size());
    tables.insert(tables.end(), jobs, jobs + 1 + JOBS);
    return tables;
}

// The host's half of the protocol, and what it expects. Where the protocol says that an order protects a word, the host
// uses it without an atomic access, although the real one does not: only then is a missing order a race.
class Host {
  public:
    Host(Shared &shared, Chunks &chunks, const std::vector<Leaves> &leaves, gm_u32 seed)
        : shared_(shared), chunks_(chunks), leaves_(leaves), random_(seed)
    {
        for (gm_u32 slot = 0; slot < SLOTS; slot++)
            free_.push_back(slot);
    }

    bool idle() const { return free_.size() == SLOTS; }
    bool full() const { return free_.empty(); }

    void publish_any()
    {
        gm_u32 slot = free_.back();
        gm_u32 args[GM_ARGS_PER_SLOT] = {};
        gm_u32 tenant = below(4) == 0 ? 1 : 0;
        Expected expected;
        gm_u32 opcode = any(slot, tenant, args, expected);
        free_.pop_back();
        expected.order = ++published_;
        expected_[slot] = expected;
        publish(slot, opcode, tenant, below(GM_PRIORITY_COUNT), args);
    }

    // Ends the requests that wait in the IO queue, or leaves them for later; says whether there was one.
    bool serve()
    {
        bool served = false;
        for (gm_u32 i = 0; i < IO_SLOTS; i++) {
            gm_u32 *words = shared_.at(GM_LAUNCH_IO) + i * GM_IO_SLOT_WORDS;
            if (gm_sys_load_acquire(words + GM_IO_STATUS) != PUBLISHED || below(4) == 0)
                continue;
            gm_u32 source = words[GM_IO_SRC_HANDLE];
            expect("operation", words[GM_IO_TAG], words[GM_IO_OP_TYPE], GM_IO_OP_READ);
            expect("destination", words[GM_IO_TAG], words[GM_IO_DST_HANDLE], source + 1);
            expect("offset", words[GM_IO_TAG], words[GM_IO_OFFSET_LO], source + 2);
            expect("offset", words[GM_IO_TAG], words[GM_IO_OFFSET_HI], source + 3);
            expect("count", words[GM_IO_TAG], words[GM_IO_BYTE_COUNT], source + 4);
            gm_sys_store(words + GM_IO_STATUS, GM_SLOT_CLAIMED);
            words[source % 2 ? GM_IO_TAG : GM_IO_BYTE_COUNT] = source;
            gm_sys_store_release(words + GM_IO_STATUS, source % 2 ? GM_IO_STATUS_ERROR : GM_IO_STATUS_OK);
            gm_sys_store_release(shared_.at(GM_LAUNCH_TAILS) + GM_TAILS_ENDED, ++ended_);
            served = true;
        }
        return served;
    }

    // Takes one completion and checks it; false where there is none yet.
    bool complete_one()
    {
        gm_u32 *entry = shared_.at(GM_LAUNCH_ENTRIES) + cursor_ % SLOTS * GM_COMPLETION_WORDS;
        if (gm_sys_load_acquire(entry + GM_COMPLETION_SEQ) != cursor_ + 1)
            return false;
        cursor_++;
        gm_u32 slot = entry[GM_COMPLETION_SLOT];
        Expected &expected = expected_[slot];
        gm_u32 status = expected.fault == GM_FAULT_NONE ? GM_SLOT_DONE : GM_SLOT_FAULT;
        expect("fault", slot, entry[GM_COMPLETION_FAULT], expected.fault);
        expect("status", slot, entry[GM_COMPLETION_STATUS], status);
        expect("status word", slot, gm_sys_load(shared_.at(GM_LAUNCH_SLOT_WORDS) + slot * GM_SLOT_WORDS), status);
        expect("flags", slot, entry[GM_COMPLETION_FLAGS], 0);
        expect("records", slot, entry[GM_COMPLETION_RECORDS], expected.records);
        for (size_t i = 0; i < expected.results.size(); i++)
            expect("result", slot, entry[GM_COMPLETION_RESULT0 + i], expected.results[i]);
        check_area(slot);
        if (expected.fence)
            check_fence(expected);
        expected.order = 0;
        gm_sys_store_release(&chunks_.states[slot], CHUNK_FREE);
        free_.push_back(slot);
        return true;
    }

    // After the workers have left.
    void check_counters()
    {
        gm_u32 *control = shared_.at(GM_LAUNCH_CONTROL);
        expect("DONE_COUNT", 0, control[GM_CONTROL_DONE_COUNT], cursor_);
        expect("EPOCH", 0, control[GM_CONTROL_EPOCH], fences_);
        expect("sum", 0, *sum(), added_);
        expect("log", 0, *shared_.at(GM_LAUNCH_DEBUG), logged_);
    }

  private:
    Shared &shared_;
    Chunks &chunks_;
    const std::vector<Leaves> &leaves_;
    std::mt19937 random_;
    std::vector<gm_u32> free_;
    Expected expected_[SLOTS];
    gm_u32 tails_[GM_PRIORITY_COUNT] = {};
    gm_u32 generation_ = 0;
    gm_u32 in_generation_ = 0;
    gm_u32 cursor_ = 0;
    gm_u32 published_ = 0;
    gm_u32 added_ = 0;
    gm_u32 fences_ = 0;
    gm_u32 logged_ = 0;
    gm_u32 ended_ = 0;

    gm_u32 below(gm_u32 bound) { return random_() % bound; }
    // Word 1 of tenant 0's window: slots add to it.
    gm_u32 *sum() { return shared_.at(GM_LAUNCH_CONTROL) + GM_CONTROL_MIN_WORDS + 1; }

    void check_area(gm_u32 slot)
    {
        const gm_u32 *area = shared_.at(GM_LAUNCH_RECORDS) + slot * RECORD_WORDS;
        for (size_t i = 0; i < expected_[slot].area.size(); i++)
            expect("record area", slot, area[i], expected_[slot].area[i]);
    }

    // Whatever was published before a completed fence is finished, though its completion may not have been read yet.
    void check_fence(const Expected &fence)
    {
        if (gm_sys_load(sum()) < fence.added)
            fail("a fence completed before what was published before it");
        for (gm_u32 slot = 0; slot < SLOTS; slot++)
            if (expected_[slot].order != 0 && expected_[slot].order < fence.order)
                check_area(slot);
    }

    // In the order of `Submitter::publish`. Workers may look at what decides whether a parked slot can go on after it
    // has gone on, so those words need atomic stores.
    void publish(gm_u32 slot, gm_u32 opcode, gm_u32 tenant, gm_u32 priority, const gm_u32 *args)
    {
        gm_u32 *words = shared_.at(GM_LAUNCH_SLOT_WORDS) + slot * GM_SLOT_WORDS;
        gm_sys_store(words + GM_OPCODE_WORD, opcode);
        gm_sys_store(words + GM_TENANT_WORD, tenant);
        words[GM_PRIORITY_WORD] = priority;
        for (gm_u32 i = 0; i < GM_ARGS_PER_SLOT; i++)
            if (i == GM_OP_FENCE_ARG_SLOTS || i == GM_OP_FENCE_ARG_GENERATION)
                gm_sys_store(words + GM_ARG0_WORD + i, args[i]);
            else
                words[GM_ARG0_WORD + i] = args[i];
        if (opcode == GM_OP_BATCH_FENCE) {
            gm_sys_store(words + GM_ARG0_WORD + GM_OP_FENCE_ARG_SLOTS, in_generation_);
            gm_sys_store(words + GM_ARG0_WORD + GM_OP_FENCE_ARG_GENERATION, generation_);
            in_generation_ = 0;
            generation_ = (generation_ + 1) & 0xFFFF;
        }
        in_generation_++;
        gm_sys_store_release(words + GM_STATUS_WORD, PUBLISHED);
        gm_u32 ticket = tails_[priority]++;
        gm_sys_store(shared_.at(GM_LAUNCH_READY) + priority * SLOTS + ticket % SLOTS, slot | generation_ << 16);
        gm_sys_store_release(shared_.at(GM_LAUNCH_TAILS) + priority, ticket + 1);
    }

    // A slot of any kind: its opcode and arguments, and what it must leave.
    gm_u32 any(gm_u32 slot, gm_u32 &tenant, gm_u32 *args, Expected &expected)
    {
        switch (below(14)) {
        case 0:
            expected.results = {0, 0, 0, 0, 0, 0, 0, 0};
            return GM_OP_NOP;
        case 1:
            if (below(2)) {
                args[1] = OBSERVABLES / TENANTS;
                expected.fault = GM_FAULT_INDEX_OUT_OF_RANGE;
                return GM_OP_STORE_U32;
            }
            // Most of what the lock orders, both read and written.
            args[0] = 2;
            args[1] = 3;
            args[2] = OBSERVABLES / TENANTS - 3;
            return GM_OP_MEMCPY;
        case 2:
            tenant = 0;
            args[0] = 1 + below(3);
            args[1] = 1;
            added_ += args[0];
            return GM_OP_ATOMIC_ADD;
        case 3:
            expected.fence = true;
            expected.added = added_;
            fences_++;
            return GM_OP_BATCH_FENCE;
        case 4: // two additions packed into one slot
            tenant = 0;
            args[0] = 2 | 4 << 8 | GM_OP_ATOMIC_ADD << 16 | 0 << 24;
            args[1] = GM_OP_ATOMIC_ADD | 2 << 8;
            args[2] = args[4] = 1;
            args[3] = args[5] = 1;
            added_ += 2;
            return GM_OP_PACKED_SLOT;
        case 5:
            logged_++;
            return GM_OP_PRINTF;
        case 6: // a tenant that may not run, or an opcode that nobody has
            tenant = below(2) ? TENANTS : tenant;
            expected.fault = tenant == TENANTS ? GM_FAULT_TENANT_MASKED : GM_FAULT_UNKNOWN_OPCODE;
            return 99;
        case 7:
            args[0] = below(1000);
            args[1] = 2;
            return GM_OP_STORE_U32;
        case 8: // bytes from the host, which answers odd sources with an error
            args[GM_OP_LOAD_ARG_RESOURCE] = below(1000);
            args[GM_OP_LOAD_ARG_PREFETCH] = below(3) == 0;
            args[GM_OP_LOAD_ARG_DESTINATION] = args[GM_OP_LOAD_ARG_RESOURCE] + 1;
            args[GM_OP_LOAD_ARG_OFFSET_LO] = args[GM_OP_LOAD_ARG_RESOURCE] + 2;
            args[GM_OP_LOAD_ARG_OFFSET_HI] = args[GM_OP_LOAD_ARG_RESOURCE] + 3;
            args[GM_OP_LOAD_ARG_BYTES] = args[GM_OP_LOAD_ARG_RESOURCE] + 4;
            expected.results = {0};
            if (args[GM_OP_LOAD_ARG_PREFETCH] != 0)
                return GM_OP_LOAD_MISS;
            if (args[GM_OP_LOAD_ARG_RESOURCE] % 2)
                expected.fault = GM_FAULT_IO_FAILED | args[GM_OP_LOAD_ARG_RESOURCE] << 16;
            else
                expected.results = {args[GM_OP_LOAD_ARG_RESOURCE]};
            return GM_OP_LOAD_MISS;
        default:
            return over_chunk(slot, tenant, args, expected);
        }
    }

    // An opcode over the slot's chunk, which the host rewrites for it with plain stores.
    gm_u32 over_chunk(gm_u32 slot, gm_u32 &tenant, gm_u32 *args, Expected &expected)
    {
        gm_u8 *own = &chunks_.bytes[slot * CHUNK_STRIDE];
        gm_u32 job = below(JOBS + 1);
        if (job == 4)
            return over_leaves(slot, own, args, expected);
        gm_u32 len = below(MOST_BYTES + 1);
        gm_u32 counts[256] = {};
        gm_u32 crc = 0xFFFFFFFF;
        std::vector<gm_u32> matches;
        std::vector<gm_u32> newlines;
        for (gm_u32 i = 0; i < len; i++) {
            own[i] = (gm_u8) "aabbc\n"[below(6)];
            counts[own[i]]++;
            if (own[i] == '\n')
                newlines.insert(newlines.end(), {i, '\n'});
            if (i > 0 && own[i - 1] == 'a' && own[i] == 'b')
                matches.insert(matches.end(), {i - 1, 0});
            crc ^= own[i];
            for (int bit = 0; bit < 8; bit++)
                crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78 : 0);
        }
        gm_sys_store_release(&chunks_.states[slot], GM_CHUNK_LENT);
        if (job == JOBS) {
            tenant = 0;
            args[GM_PROGRAM_ARG_CHUNK_AFTER] = slot;
            args[GM_PROGRAM_ARG_LEN] = len;
            expected.area = {counts['\n'], 0, counts['a'], 0};
            expected.area.insert(expected.area.end(), newlines.begin(), newlines.end());
            expected.records = counts['\n'];
            return PROGRAM_OPCODE;
        }
        args[GM_STREAM_ARG_CHUNK] = slot;
        args[GM_STREAM_ARG_LEN] = len;
        args[GM_STREAM_ARG_JOB] = job;
        switch (job) {
        case 0:
            args[GM_STREAM_ARG_MODE] = GM_STREAM_MODE_ALL;
            expected.results = {(gm_u32)matches.size() / 2};
            expected.records = (gm_u32)matches.size() / 2;
            expected.area = matches;
            return GM_OP_SCAN;
        case 1:
            expected.records = GM_STREAM_HISTOGRAM_RECORDS;
            expected.area.assign(counts, counts + 256);
            return GM_OP_HISTOGRAM;
        case 2:
            expected.results = {counts['\n']};
            return GM_OP_LINES;
        default:
            expected.results = {~crc};
            return GM_OP_CRC32C;
        }
    }

    // BLAKE3 over one of the chunks whose parts are known.
    gm_u32 over_leaves(gm_u32 slot, gm_u8 *own, gm_u32 *args, Expected &expected)
    {
        const Leaves &one = leaves_[below((gm_u32)leaves_.size())];
        for (size_t i = 0; i < one.bytes.size(); i++)
            own[i] = one.bytes[i];
        gm_sys_store_release(&chunks_.states[slot], GM_CHUNK_LENT);
        args[GM_STREAM_ARG_CHUNK] = slot;
        args[GM_STREAM_ARG_LEN] = (gm_u32)one.bytes.size();
        args[GM_STREAM_ARG_JOB] = 4;
        args[GM_STREAM_ARG_OFFSET_LO] = one.offset;
        gm_u32 parts = (gm_u32)one.parts.size() / GM_STREAM_BLAKE3_VALUE_WORDS;
        expected.results = {0, parts, one.root};
        expected.records = (gm_u32)one.parts.size() / 2;
        expected.area = one.parts;
        return GM_OP_BLAKE3;
    }
};

// One launch group: its groups are launched together, lease after lease, until the host asks them to leave.
void run_launch_group(gm_u32 number, Shared &shared, Chunks &chunks, std::vector<gm_u32> &state,
              const std::vector<gm_u32> &tables)
{
    struct Group {
        std::vector<gm_u32> local = std::vector<gm_u32>(GM_LOCAL_WORDS);
        gm_claim claim = {};
        gm_outcome out = {};
    };
    std::vector<Group> locals(GM_GROUPS);
    gm_u32 launch = 0;
    while (gm_sys_load_acquire(shared.at(GM_LAUNCH_CONTROL) + GM_CONTROL_SHUTDOWN) == 0) {
        launch++;
        gm_host_run(GM_GROUPS, GM_LANES, [&](unsigned group) {
            Group &own = locals[group];
            gm_work(shared.all(), chunks.bytes.data(), chunks.states.data(), state.data(), tables.data(),
                    number * GM_GROUPS, GM_GROUPS, launch, own.local.data(), &own.claim, &own.out);
        });
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 4)
        fail("usage: race IMAGES SLOTS SEED");
    Shared shared;
    std::vector<Leaves> leaves;
    std::vector<gm_u32> tables = read_tables(argv[1], shared, leaves);
    Chunks chunks;
    std::vector<gm_u32> state(GM_STATE_SLOTS + 4 * SLOTS + WORKERS * RECORD_WORDS);
    gm_u32 *log = shared.at(GM_LAUNCH_DEBUG);
    // What the lock orders: observables behind the sum, and the debug log behind its cursor.
    ordered[0] = {shared.at(GM_LAUNCH_CONTROL) + GM_CONTROL_MIN_WORDS + 2, log, 1};
    ordered[1] = {log + 1, log + 1 + DEBUG_RECORDS * GM_DEBUG_RECORD_WORDS, 1};
    // The generation of a slot, from whoever parks it to whoever goes on with it.
    ordered[2] = {state.data() + GM_STATE_SLOTS, state.data() + GM_STATE_SLOTS + 2 * SLOTS, 2};
    // Who waits for a request, which the lock orders; and the request, which its status orders.
    ordered[3] = {state.data() + GM_STATE_IO, state.data() + GM_STATE_IO + IO_SLOTS, 1};
    gm_u32 *io = shared.at(GM_LAUNCH_IO);
    for (gm_u32 word = 0, next = 4; word < GM_IO_SLOT_WORDS; word++)
        if (word != GM_IO_STATUS)
            ordered[next++] = {io + word, io + IO_SLOTS * GM_IO_SLOT_WORDS, GM_IO_SLOT_WORDS};
    Host host(shared, chunks, leaves, (gm_u32)std::strtoul(argv[3], nullptr, 10));
    std::vector<std::thread> launch_groups;
    for (gm_u32 number = 0; number < GM_LAUNCHES; number++)
        launch_groups.emplace_back([&, number] { run_launch_group(number, shared, chunks, state, tables); });

    gm_u32 left = (gm_u32)std::strtoul(argv[2], nullptr, 10);
    auto last = std::chrono::steady_clock::now();
    while (left > 0 || !host.idle()) {
        bool moved = false;
        for (; left > 0 && !host.full(); left--, moved = true)
            host.publish_any();
        while (host.complete_one())
            moved = true;
        moved |= host.serve();
        auto now = std::chrono::steady_clock::now();
        if (moved)
            last = now;
        else if (now - last > std::chrono::seconds(60))
            fail("no slot completed for a minute");
        else
            std::this_thread::yield();
    }
    gm_sys_store_release(shared.at(GM_LAUNCH_CONTROL) + GM_CONTROL_SHUTDOWN, 1);
    for (std::thread &launch_group : launch_groups)
        launch_group.join();
    host.check_counters();
    gm_u32 leases = 0;
    for (gm_u32 worker = 0; worker < WORKERS; worker++)
        leases += shared.at(GM_LAUNCH_WORKERS)[worker * GM_WORKER_WORDS + GM_WORKER_LEASES];
    std::printf("all slots as expected, %u leases of %u workers\n", leases, WORKERS);
}
