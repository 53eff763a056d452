/* The persistent kernel: every group is a worker that polls the ready rings, claims a slot, runs it and completes it, until
 * its lease is spent. The leader of a group talks to the host (worker.h, io.h); all lanes work on chunks. */

/* ---- Opcodes that need no chunk: the leader alone ---- */

/* The program that is bound to an opcode: the place of its image in the tables plus one, or 0. *longest is how many bytes
 * of a chunk its budget allows. Entries never change from one opcode to another while slots are in flight. */
GM_FN gm_u32 gm_program(const gm_worker *w, gm_u32 opcode, gm_u32 *longest)
{
    GM_GLOBAL gm_u32 *directory = w->shared + gm_sys_load(w->shared + GM_LAUNCH_PROGRAMS);
    gm_u32 i;
    for (i = 0; i < GM_DIRECTORY_ENTRIES; i++) {
        GM_GLOBAL gm_u32 *entry = directory + ((opcode + i) % GM_DIRECTORY_ENTRIES) * GM_DIRECTORY_WORDS;
        gm_u32 key = gm_sys_load_acquire(entry + GM_DIRECTORY_OPCODE);
        if (key == opcode) {
            *longest = gm_sys_load(entry + GM_DIRECTORY_LONGEST);
            return gm_sys_load(entry + GM_DIRECTORY_IMAGE) + 1;
        }
        if (key == 0)
            break;
    }
    return 0;
}

/* The tenant's window of observables. */
GM_FN GM_GLOBAL gm_u32 *gm_window(const gm_worker *w, gm_u32 tenant, gm_u32 *len)
{
    gm_u32 tenants = gm_sys_load(w->shared + GM_LAUNCH_TENANTS);
    *len = tenant < tenants ? gm_sys_load(w->shared + GM_LAUNCH_OBSERVABLES) / tenants : 0;
    return w->control + GM_CONTROL_MIN_WORDS + (gm_u64)*len * tenant;
}

/* How many argument words a core opcode takes; GM_NOT_CORE for another. */
#define GM_NOT_CORE 0xFFFFFFFFu
#define GM_CORE_ROW(number, words) case number: return words;
GM_FN gm_u32 gm_core_args(gm_u32 opcode)
{
    switch (opcode) {
        GM_CORE_OPS(GM_CORE_ROW)
    default:
        return GM_NOT_CORE;
    }
}

/* Runs a core opcode with `n` argument words at `a`; 0 where it is none. *fault is set where it faults, to BAD_ARGUMENT
 * where it wants more words. Observables and the debug log are read and written under the lock. */
GM_FN int gm_core(gm_worker *w, GM_LOCAL const gm_claim *claim, gm_u32 opcode, GM_LOCAL const gm_u32 *a, gm_u32 n,
                  gm_u32 *result, gm_u32 *fault)
{
    gm_u32 len;
    GM_GLOBAL gm_u32 *window = gm_window(w, claim->tenant, &len);
    gm_u32 needs = gm_core_args(opcode);
    gm_u32 value = 0;
    gm_u32 i;
    *result = 0;
    if (n < needs) {
        *fault = GM_FAULT_BAD_ARGUMENT;
        return needs != GM_NOT_CORE;
    }
    switch (opcode) {
    case GM_OP_NOP:
        return 1;
    case GM_OP_STORE_U32:
    case GM_OP_ATOMIC_ADD:
        if (a[1] >= len) {
            *fault = GM_FAULT_INDEX_OUT_OF_RANGE;
            return 1;
        }
        gm_lock(w);
        value = a[0] + (opcode == GM_OP_ATOMIC_ADD ? gm_sys_load(window + a[1]) : 0);
        gm_sys_store(window + a[1], value);
        gm_unlock(w);
        *result = opcode == GM_OP_ATOMIC_ADD ? value : 0;
        return 1;
    case GM_OP_LOAD_U32:
        if (a[1] >= len || (a[0] >= GM_CONTROL_MIN_WORDS && a[0] - GM_CONTROL_MIN_WORDS >= len)) {
            *fault = GM_FAULT_INDEX_OUT_OF_RANGE;
            return 1;
        }
        gm_lock(w);
        value = gm_sys_load(a[0] < GM_CONTROL_MIN_WORDS ? w->control + a[0] : window + (a[0] - GM_CONTROL_MIN_WORDS));
        gm_sys_store(window + a[1], value);
        gm_unlock(w);
        *result = value;
        return 1;
    case GM_OP_COMPARE_SWAP:
        if (a[0] >= len) {
            *fault = GM_FAULT_INDEX_OUT_OF_RANGE;
            return 1;
        }
        gm_lock(w);
        value = gm_sys_load(window + a[0]);
        if (value == a[1])
            gm_sys_store(window + a[0], a[2]);
        gm_unlock(w);
        *result = value;
        return 1;
    case GM_OP_MEMCPY:
        if (a[0] > len || a[1] > len || a[2] > len - a[0] || a[2] > len - a[1]) {
            *fault = GM_FAULT_INDEX_OUT_OF_RANGE;
            return 1;
        }
        gm_lock(w);
        for (i = 0; i < a[2]; i++) {
            gm_u32 at = a[1] <= a[0] ? i : a[2] - 1 - i;
            gm_sys_store(window + a[1] + at, gm_sys_load(window + a[0] + at));
        }
        gm_unlock(w);
        return 1;
    case GM_OP_DFA_STEP: {
        gm_u32 longest;
        gm_u32 image = 0;
        int found = 0;
        if (a[2] < GM_OP_TENANT_WINDOW)
            image = gm_program(w, GM_OP_TENANT_BASE + (claim->tenant << GM_OP_TENANT_SHIFT) + a[2], &longest);
        if (image == 0) {
            *fault = GM_FAULT_NO_SUCH_PROGRAM;
            return 1;
        }
        value = gm_vir0_table_word(w->tables + (image - 1), (gm_u64)a[0] * 256 + a[1], &found);
        if (a[1] >= 256 || !found)
            *fault = GM_FAULT_INDEX_OUT_OF_RANGE;
        else
            *result = value;
        return 1;
    }
    case GM_OP_PRINTF: {
        GM_GLOBAL gm_u32 *log = w->shared + gm_sys_load(w->shared + GM_LAUNCH_DEBUG);
        gm_u32 records = gm_sys_load(w->shared + GM_LAUNCH_DEBUG_RECORDS);
        gm_u32 cursor;
        gm_lock(w);
        cursor = gm_sys_load(log + GM_DEBUG_CURSOR);
        if (cursor < records) {
            GM_GLOBAL gm_u32 *record = log + GM_DEBUG_RECORDS + (gm_u64)cursor * GM_DEBUG_RECORD_WORDS;
            gm_sys_store(record + GM_DEBUG_RECORD_FORMAT_ID, a[0]);
            gm_sys_store(record + GM_DEBUG_RECORD_FIRST_ARG, a[1]);
            gm_sys_store(record + GM_DEBUG_RECORD_SECOND_ARG, a[2]);
            gm_sys_store(record + GM_DEBUG_RECORD_SLOT, claim->slot);
        }
        if (cursor != 0xFFFFFFFFu)
            gm_sys_store_release(log + GM_DEBUG_CURSOR, cursor + 1);
        gm_unlock(w);
        return 1;
    }
    case GM_OP_SHUTDOWN:
        gm_sys_store_release(w->control + GM_CONTROL_SHUTDOWN, 1);
        return 1;
    default:
        return 0;
    }
}

/* Byte `at` of a packed slot's payload. */
GM_FN gm_u32 gm_packed_byte(GM_LOCAL const gm_claim *claim, gm_u32 at)
{
    return claim->args[at / 4] >> (at % 4 * 8) & 0xFF;
}

/* The opcode of a packed slot's op `i`. */
GM_FN gm_u32 gm_packed_opcode(GM_LOCAL const gm_claim *claim, gm_u32 i)
{
    return gm_packed_byte(claim, GM_PACKED_HEADER_BYTES + GM_PACKED_OP_BYTES * i);
}

/* Where its arguments begin among the argument words; behind the last op, their end. */
GM_FN gm_u32 gm_packed_offset(GM_LOCAL const gm_claim *claim, gm_u32 i)
{
    return gm_packed_byte(claim, i < gm_packed_byte(claim, 0) ? GM_PACKED_HEADER_BYTES + GM_PACKED_OP_BYTES * i + 1 : 1);
}

/* The inner operations of a packed slot, checked as a whole and run in order; the first that faults faults the slot. The
 * layout is that of crates/protocol/src/packed.rs. */
GM_FN void gm_packed(gm_worker *w, GM_LOCAL const gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 ops = gm_packed_byte(claim, 0);
    gm_u32 total = gm_packed_byte(claim, 1);
    gm_u32 bytes = GM_PACKED_HEADER_BYTES + GM_PACKED_OP_BYTES * ops;
    gm_u32 prefix = (bytes + 3) / 4;
    gm_u32 before = 0;
    gm_u32 result = 0;
    gm_u32 i;
    out->fault = GM_FAULT_BAD_PACKED_SLOT;
    if (ops == 0 || ops > GM_PACKED_MAX_OPS || prefix + total > GM_ARGS_PER_SLOT)
        return;
    for (i = 0; i < ops; i++) {
        gm_u32 offset = gm_packed_offset(claim, i);
        if (gm_packed_opcode(claim, i) == GM_OP_BATCH_FENCE || offset < before || offset > total ||
            (i == 0 && offset != 0))
            return;
        before = offset;
    }
    for (i = bytes; i < 4 * prefix; i++)
        if (gm_packed_byte(claim, i) != 0)
            return;
    for (i = 0; i < ops; i++) {
        gm_u32 offset = gm_packed_offset(claim, i);
        gm_u32 words = gm_packed_offset(claim, i + 1) - offset;
        gm_u32 fault = GM_FAULT_NONE;
        if (!gm_core(w, claim, gm_packed_opcode(claim, i), claim->args + prefix + offset, words, &result, &fault))
            return;
        if (fault != GM_FAULT_NONE) {
            if (fault != GM_FAULT_BAD_ARGUMENT)
                out->fault = fault;
            return;
        }
    }
    out->fault = GM_FAULT_NONE;
    out->results[GM_OP_RESULT_VALUE] = result;
}

/* ---- What a claimed slot asks for ---- */

GM_FN int gm_chunk_is_lent(const gm_worker *w, gm_u32 chunk)
{
    return chunk < gm_sys_load(w->shared + GM_LAUNCH_CHUNKS) &&
           gm_sys_load_acquire(w->chunk_states + chunk) == GM_CHUNK_LENT;
}

/* Runs what the leader can run alone and says GM_GO_COMPLETE; else prepares what all lanes run together. */
GM_FN gm_u32 gm_prepare(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 opcode = claim->opcode;
    gm_u32 result = 0;
    gm_u32 fault = GM_FAULT_NONE;
    if (opcode == GM_OP_BATCH_FENCE) {
        out->results[GM_OP_RESULT_VALUE] = gm_dev_add(w->state + GM_STATE_EPOCH, 1) + 1;
        return GM_GO_COMPLETE;
    }
    if (opcode == GM_OP_PACKED_SLOT) {
        gm_packed(w, claim, out);
        return GM_GO_COMPLETE;
    }
    if (gm_core(w, claim, opcode, claim->args, GM_ARGS_PER_SLOT, &result, &fault)) {
        out->results[GM_OP_RESULT_VALUE] = result;
        out->fault = fault;
        return GM_GO_COMPLETE;
    }
    if (opcode >= GM_OP_TENANT_BASE && !(opcode & GM_OP_RESERVED_BIT)) {
        gm_u32 longest = 0;
        if ((opcode - GM_OP_TENANT_BASE) >> GM_OP_TENANT_SHIFT != claim->tenant) {
            out->fault = GM_FAULT_FOREIGN_OPCODE;
            return GM_GO_COMPLETE;
        }
        claim->image = gm_program(w, opcode, &longest);
        if (claim->image == 0)
            out->fault = GM_FAULT_NO_SUCH_PROGRAM;
        else if (claim->args[GM_PROGRAM_ARG_LEN] > longest)
            out->fault = GM_FAULT_OVER_BUDGET;
        else if (gm_is_cancelled(w))
            out->fault = GM_FAULT_CANCELLED;
        else if (!gm_chunk_is_lent(w, claim->args[GM_PROGRAM_ARG_CHUNK_AFTER] & GM_PROGRAM_MAX_CHUNK_INDEX))
            out->fault = GM_FAULT_CHUNK_NOT_LENT;
        else {
            claim->image--;
            out->fault = gm_vir0_check(w->tables + claim->image, claim->args,
                                       gm_sys_load(w->shared + GM_LAUNCH_CHUNK_BYTES));
            if (out->fault == GM_FAULT_NONE)
                return GM_GO_PROGRAM;
        }
        return GM_GO_COMPLETE;
    }
    {
        GM_GLOBAL const gm_u32 *jobs = w->tables + gm_sys_load(w->shared + GM_LAUNCH_JOBS);
        gm_u32 count = jobs[0];
        gm_u32 job = claim->args[GM_STREAM_ARG_JOB];
        gm_u32 i;
        if (job < count && w->tables[jobs[1 + job]] == opcode) {
            claim->image = jobs[1 + job];
            if (gm_is_cancelled(w))
                out->fault = GM_FAULT_CANCELLED;
            else if (gm_chunk_is_lent(w, claim->args[GM_STREAM_ARG_CHUNK]))
                return GM_GO_STREAM;
            else
                out->fault = GM_FAULT_CHUNK_NOT_LENT;
            return GM_GO_COMPLETE;
        }
        out->fault = opcode >= GM_OP_STREAM_FIRST && opcode <= GM_OP_STREAM_LAST ? GM_FAULT_NO_SUCH_JOB
                                                                                 : GM_FAULT_UNKNOWN_OPCODE;
        for (i = 0; i < count; i++)
            if (w->tables[jobs[1 + i]] == opcode)
                out->fault = GM_FAULT_NO_SUCH_JOB;
    }
    return GM_GO_COMPLETE;
}

/* Admits a claimed slot: tenant, quota, fence. What is refused or parked is dealt with here. */
GM_FN gm_u32 gm_admit(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 tenant = claim->tenant;
    gm_u32 quota;
    claim->bound = 0;
    gm_clear(out);
    /* Before anything refuses it: the fence behind this one counts on it having waited. */
    if (!gm_fence_reached(w, claim->opcode, claim->args[GM_OP_FENCE_ARG_SLOTS],
                          claim->args[GM_OP_FENCE_ARG_GENERATION])) {
        gm_park(w, claim, GM_PARKED_SLOT);
        return GM_GO_AGAIN;
    }
    if (tenant >= GM_CONTROL_TENANT_MASK_WORDS)
        out->fault = GM_FAULT_BAD_TENANT;
    else if (gm_sys_load(w->control + GM_CONTROL_TENANT_MASKS + tenant) == 0)
        out->fault = GM_FAULT_TENANT_MASKED;
    else if ((quota = gm_quota(w, tenant)) == 0)
        out->fault = GM_FAULT_QUOTA;
    else {
        /* A quota of at least all slots binds nothing. */
        if (quota <= w->mask) {
            if (gm_dev_add(w->state + GM_STATE_RUNNING + tenant, 1) >= quota) {
                gm_dev_add(w->state + GM_STATE_RUNNING + tenant, 0u - 1u);
                gm_park(w, claim, GM_PARKED_SLOT);
                return GM_GO_AGAIN;
            }
            claim->bound = 1;
        }
        if (claim->opcode != GM_OP_LOAD_MISS)
            return gm_prepare(w, claim, out);
        if (w->io_slots == 0) {
            out->fault = GM_FAULT_NO_IO_QUEUE;
        } else if (!gm_ask(w, claim)) {
            if (claim->bound)
                gm_dev_add(w->state + GM_STATE_RUNNING + tenant, 0u - 1u);
            gm_park(w, claim, GM_PARKED_IO);
            return GM_GO_AGAIN;
        } else if (claim->args[GM_OP_LOAD_ARG_PREFETCH] == 0) {
            return GM_GO_AGAIN;
        }
    }
    return GM_GO_COMPLETE;
}

/* The kernel ends, and what was put aside will never go on: claims the next of these slots, which completes as a fault;
 * 0 where there is none. */
GM_FN int gm_drop_next(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    while (w->dropped <= w->mask + w->io_slots) {
        gm_u32 at;
        if (w->dropped <= w->mask && gm_dev_load_acquire(w->state + GM_STATE_PARKED) == 0 &&
            gm_dev_load_acquire(w->state + GM_STATE_IO_PARKED) == 0) {
            w->dropped = w->mask + 1;
            continue;
        }
        at = w->dropped++;
        if (at <= w->mask ? !gm_drop_parked(w, claim, at) : !gm_drop_waiting(w, claim, at - w->mask - 1))
            continue;
        gm_clear(out);
        out->fault = GM_FAULT_WORKER_PANICKED;
        return 1;
    }
    return 0;
}

/* Nothing to claim: whether to poll on. The workers of one launch leave together, as none of them can come back before
 * the last has left. */
GM_FN gm_u32 gm_idle(gm_worker *w)
{
    GM_GLOBAL gm_u32 *count = w->state + GM_STATE_IDLE + 2 * w->first;
    gm_u32 polls = gm_sys_load(w->shared + GM_LAUNCH_IDLE_POLLS);
    w->idle++;
    if (w->idle < polls)
        return GM_GO_AGAIN;
    if (!w->counted) {
        w->counted = 1;
        if (gm_dev_add(count, 1) + 1 == w->groups)
            gm_dev_store_release(count + 1, w->launch);
    }
    return gm_dev_load_acquire(count + 1) == w->launch || w->idle / 64 >= polls ? GM_GO_LEAVE : GM_GO_AGAIN;
}

/* The leader's turn: one slot, or the decision to leave. */
GM_FN gm_u32 gm_turn(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    int ended;
    if (gm_sys_load(w->control + GM_CONTROL_SHUTDOWN) != 0) {
        claim->bound = 0;
        claim->left = GM_LEFT_SHUTDOWN;
        return gm_drop_next(w, claim, out) ? GM_GO_COMPLETE : GM_GO_LEAVE;
    }
    if (w->run >= gm_sys_load(w->shared + GM_LAUNCH_LEASE_SLOTS)) {
        claim->left = GM_LEFT_SPENT;
        return GM_GO_LEAVE;
    }
    ended = gm_take_ended(w, claim, out);
    if (ended || gm_unpark(w, claim) || gm_take_next(w, claim)) {
        w->idle = 0;
        if (w->counted) {
            w->counted = 0;
            gm_dev_add(w->state + GM_STATE_IDLE + 2 * w->first, 0u - 1u);
        }
        gm_beat(w->own + GM_WORKER_BEAT);
        if (w->run % 256 == 255)
            gm_serve_mirror(w, 1);
        return ended ? GM_GO_COMPLETE : gm_admit(w, claim, out);
    }
    gm_serve_mirror(w, w->dirty && w->idle == 16);
    if (w->idle % 64 == 0)
        gm_beat(w->own + GM_WORKER_BEAT);
    claim->left = GM_LEFT_IDLE;
    return gm_idle(w);
}

/* A worker, from launch to leave. `scratch`, `claim` and `out` are the group's local memory. */
GM_FN void gm_work(GM_GLOBAL gm_u32 *shared, GM_GLOBAL const gm_u8 *chunks, GM_GLOBAL gm_u32 *chunk_states,
                   GM_GLOBAL gm_u32 *state, GM_GLOBAL const gm_u32 *tables, gm_u32 first, gm_u32 groups, gm_u32 launch,
                   GM_LOCAL gm_u32 *scratch, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_worker w;
    gm_u32 number = first + gm_group_id();
    gm_u32 slots = gm_sys_load(shared + GM_LAUNCH_SLOTS);
    gm_u32 area_words = gm_sys_load(shared + GM_LAUNCH_RECORD_WORDS);
    GM_GLOBAL gm_u32 *records = shared + gm_sys_load(shared + GM_LAUNCH_RECORDS);
    GM_GLOBAL gm_u32 *work = state + GM_STATE_SLOTS + 4 * slots + (gm_u64)number * area_words;
    gm_u32 capacity = gm_sys_load(shared + GM_LAUNCH_CHUNK_BYTES);
    gm_u32 stride = gm_sys_load(shared + GM_LAUNCH_CHUNK_STRIDE);
    gm_u32 go = GM_GO_AGAIN;
    w.shared = shared;
    w.state = state;
    w.tables = tables;
    w.chunk_states = chunk_states;
    w.slots = shared + gm_sys_load(shared + GM_LAUNCH_SLOT_WORDS);
    w.ready = shared + gm_sys_load(shared + GM_LAUNCH_READY);
    w.tails = shared + gm_sys_load(shared + GM_LAUNCH_TAILS);
    w.entries = shared + gm_sys_load(shared + GM_LAUNCH_ENTRIES);
    w.control = shared + gm_sys_load(shared + GM_LAUNCH_CONTROL);
    w.own = shared + gm_sys_load(shared + GM_LAUNCH_WORKERS) + number * GM_WORKER_WORDS;
    w.io = shared + gm_sys_load(shared + GM_LAUNCH_IO);
    w.mask = slots - 1;
    w.io_slots = gm_sys_load(shared + GM_LAUNCH_IO_SLOTS);
    w.from = gm_sys_load(shared + GM_LAUNCH_COUNTERS_FROM);
    w.first = first;
    w.groups = groups;
    w.launch = launch;
    w.idle = 0;
    w.counted = 0;
    w.run = 0;
    w.dirty = 0;
    w.dropped = 0;
    for (;;) {
        /* What all lanes ran is completed here, too: PoCL 3.1 makes nonsense of it behind their barriers. */
        if (gm_leader()) {
            do {
                if (go != GM_GO_AGAIN) {
                    if (claim->bound)
                        gm_dev_add(w.state + GM_STATE_RUNNING + claim->tenant, 0u - 1u);
                    /* A stream opcode that was cancelled has ended early, with whatever it had then. */
                    if (go == GM_GO_STREAM && gm_is_cancelled(&w)) {
                        gm_clear(out);
                        out->fault = GM_FAULT_CANCELLED;
                    }
                    gm_complete(&w, claim, out);
                }
                go = gm_turn(&w, claim, out);
            } while (go == GM_GO_COMPLETE);
            claim->go = go;
        }
        gm_barrier();
        go = claim->go;
        if (go == GM_GO_LEAVE)
            break;
        if (go == GM_GO_STREAM) {
            gm_u32 chunk = claim->args[GM_STREAM_ARG_CHUNK];
            gm_stream_run(tables + claim->image, chunks + (gm_u64)chunk * stride, capacity, claim->args,
                          records + (gm_u64)claim->slot * area_words, area_words, work, scratch, out,
                          w.own + GM_WORKER_BEAT, w.tails + GM_TAILS_CANCELLED);
        } else if (go == GM_GO_PROGRAM) {
            gm_u32 chunk = claim->args[GM_PROGRAM_ARG_CHUNK_AFTER] & GM_PROGRAM_MAX_CHUNK_INDEX;
            gm_vir0_run(tables + claim->image, chunks + (gm_u64)chunk * stride, capacity, claim->args,
                        records + (gm_u64)claim->slot * area_words, area_words, work, scratch, out,
                        w.own + GM_WORKER_BEAT, w.tails + GM_TAILS_CANCELLED);
        }
        gm_barrier();
    }
    if (gm_leader()) {
        if (w.counted)
            gm_dev_add(w.state + GM_STATE_IDLE + 2 * first, 0u - 1u);
        gm_lock(&w);
        gm_mirror(&w);
        gm_unlock(&w);
        gm_sys_store(w.own + GM_WORKER_LEFT, claim->left);
        gm_sys_store_release(w.own + GM_WORKER_LEASES, gm_sys_load(w.own + GM_WORKER_LEASES) + 1);
    }
}

#define GM_GROUP_WORDS (GM_LOCAL_WORDS + 64) /* local memory of a group: scratch, then the claim and its outcome */

/* A launch with number 0 leaves at once: it lets a driver compile the kernel. */
#define GM_ENTER(group)                                                                                                  \
    if (launch != 0)                                                                                                     \
        gm_work(shared, chunks, chunk_states, state, tables, first, groups, launch, (group),                            \
                (GM_LOCAL gm_claim *)((group) + GM_LOCAL_WORDS), (GM_LOCAL gm_outcome *)((group) + GM_LOCAL_WORDS + 32))

#if defined(__OPENCL_VERSION__)
/* Local memory is an argument: PoCL 3.1 makes nonsense of structures that a kernel declares as local. */
__kernel void gristmill(__global gm_u32 *shared, __global const gm_u8 *chunks, __global gm_u32 *chunk_states,
                        __global gm_u32 *state, __global const gm_u32 *tables, gm_u32 first, gm_u32 groups,
                        gm_u32 launch, __local gm_u32 *group)
{
    GM_ENTER(group);
}
#elif defined(__CUDACC__) || defined(__CUDACC_RTC__)
extern "C" __global__ void __launch_bounds__(GM_LANES)
    gristmill(gm_u32 *shared, const gm_u8 *chunks, gm_u32 *chunk_states, gm_u32 *state, const gm_u32 *tables,
              gm_u32 first, gm_u32 groups, gm_u32 launch)
{
    __shared__ gm_u32 group[GM_GROUP_WORDS];
    GM_ENTER(group);
}
#endif
