/* The persistent kernel: every group is a worker that polls the ready rings, claims a slot, runs it and completes it, until
 * its lease is spent. The leader of a group talks to the host; all lanes work on chunks.
 *
 * What lies where (the words' numbers are in numbers.h, made from crates/megakernel/src/device/layout.rs):
 *
 * - shared: host and device see it. Begins with the launch's parameters. One writer for each word at any moment: the host
 *   for slots it owns, ready rings, tails, requests and directories; a worker for the slot it has claimed, its completion
 *   entry, its record area and its own words; whoever holds the lock for control words, observables, the debug log and
 *   the device's words of the IO queue.
 * - chunks: the chunk buffers, and a state for each. The host writes them before it publishes; the device reads.
 * - state: device memory. Heads, ages, tickets, counters; the host never looks at it.
 * - tables: images of jobs and programs. Written by the host before the directory names them. */

typedef struct {
    gm_u32 go; /* what to do next: GM_GO_... */
    gm_u32 slot;
    gm_u32 generation;
    gm_u32 opcode;
    gm_u32 tenant;
    gm_u32 priority;
    gm_u32 image; /* of the job or program: its place in the tables */
    gm_u32 args[GM_ARGS_PER_SLOT];
} gm_claim;

#define GM_GO_AGAIN 0u   /* nothing to run: poll again */
#define GM_GO_LEAVE 1u   /* the lease is spent */
#define GM_GO_STREAM 2u  /* all lanes run a stream opcode */
#define GM_GO_PROGRAM 3u /* all lanes run a program */

/* Why a worker left, for the host's counters. */
#define GM_LEFT_IDLE 1u
#define GM_LEFT_SPENT 2u
#define GM_LEFT_SHUTDOWN 3u

/* What a worker's leader carries from slot to slot. */
typedef struct {
    GM_GLOBAL gm_u32 *shared;
    GM_GLOBAL gm_u32 *state;
    GM_GLOBAL const gm_u32 *tables;
    GM_GLOBAL gm_u32 *chunk_states;
    GM_GLOBAL gm_u32 *slots;
    GM_GLOBAL gm_u32 *ready;
    GM_GLOBAL gm_u32 *tails;
    GM_GLOBAL gm_u32 *entries;
    GM_GLOBAL gm_u32 *control;
    GM_GLOBAL gm_u32 *io;
    GM_GLOBAL gm_u32 *own; /* this worker's words in shared memory */
    gm_u32 mask;           /* slots - 1 */
    gm_u32 io_slots;       /* of the IO queue; 0 where there is none */
    gm_u32 first;          /* the first worker of this launch */
    gm_u32 groups;         /* workers of this launch */
    gm_u32 launch;         /* its number */
    gm_u32 idle;           /* polls in a row that found nothing */
    gm_u32 counted;        /* whether this worker is counted as idle */
    gm_u32 run;            /* slots run in this lease */
    gm_u32 dirty;          /* whether counters have moved since they were mirrored */
} gm_worker;

GM_FN void gm_lock(const gm_worker *w)
{
    while (!gm_dev_cas(w->state + GM_STATE_LOCK, 0, 1)) {
    }
}

GM_FN void gm_unlock(const gm_worker *w) { gm_dev_store_release(w->state + GM_STATE_LOCK, 0); }

/* Copies the counters into the control words; the caller holds the lock. */
GM_FN void gm_mirror(gm_worker *w)
{
    gm_u32 i;
    for (i = 0; i < GM_CONTROL_METRIC_WORDS; i++)
        gm_sys_store(w->control + GM_CONTROL_METRICS + i, gm_dev_load(w->state + GM_STATE_METRICS + i));
    for (i = 0; i < GM_CONTROL_TENANT_FAIRNESS_WORDS; i++)
        gm_sys_store(w->control + GM_CONTROL_TENANT_FAIRNESS + i, gm_dev_load(w->state + GM_STATE_FAIRNESS + i));
    for (i = 0; i < GM_PRIORITY_COUNT; i++)
        gm_sys_store(w->control + GM_CONTROL_PRIORITY_FAIRNESS + i, gm_dev_load(w->state + GM_STATE_PRIORITIES + i));
    gm_sys_store(w->control + GM_CONTROL_PRIORITY_STARVATION, gm_dev_load(w->state + GM_STATE_AGED));
    gm_sys_store(w->control + GM_CONTROL_EPOCH, gm_dev_load(w->state + GM_STATE_EPOCH));
    gm_sys_store_release(w->control + GM_CONTROL_DONE_COUNT, gm_dev_load(w->state + GM_STATE_DONE));
    w->dirty = 0;
}

/* Mirrors the counters if `now`, or if the host asks for it. */
GM_FN void gm_serve_mirror(gm_worker *w, int now)
{
    gm_u32 request = gm_sys_load_acquire(w->tails + GM_TAILS_MIRROR);
    if (!now && request == gm_sys_load(w->own + GM_WORKER_MIRRORED))
        return;
    gm_lock(w);
    gm_mirror(w);
    gm_unlock(w);
    gm_sys_store_release(w->own + GM_WORKER_MIRRORED, request);
}

/* ---- Claiming ---- */

GM_FN int gm_waiting(const gm_worker *w, gm_u32 priority)
{
    return gm_dev_load(w->state + GM_STATE_HEADS + priority) != gm_sys_load_acquire(w->tails + priority);
}

/* One ticket of one priority. The entry is read before the ticket is taken: see crates/ring/src/live.rs. */
GM_FN int gm_take(const gm_worker *w, gm_u32 priority, gm_u32 *entry)
{
    GM_GLOBAL gm_u32 *head = w->state + GM_STATE_HEADS + priority;
    for (;;) {
        gm_u32 ticket = gm_dev_load_acquire(head);
        if (ticket == gm_sys_load_acquire(w->tails + priority))
            return 0;
        *entry = gm_sys_load(w->ready + (gm_u64)priority * (w->mask + 1) + (ticket & w->mask));
        if (gm_dev_cas(head, ticket, ticket + 1))
            return 1;
    }
}

GM_FN void gm_read_slot(const gm_worker *w, GM_LOCAL gm_claim *claim)
{
    GM_GLOBAL gm_u32 *words = w->slots + (gm_u64)claim->slot * GM_SLOT_WORDS;
    gm_u32 i;
    claim->opcode = gm_sys_load(words + GM_OPCODE_WORD);
    claim->tenant = gm_sys_load(words + GM_TENANT_WORD);
    claim->priority = gm_sys_load(words + GM_PRIORITY_WORD);
    for (i = 0; i < GM_ARGS_PER_SLOT; i++)
        claim->args[i] = gm_sys_load(words + GM_ARG0_WORD + i);
    gm_sys_store(words + GM_STATUS_WORD, GM_SLOT_CLAIMED);
}

/* The next slot: by priority, with ageing. */
GM_FN int gm_take_next(const gm_worker *w, GM_LOCAL gm_claim *claim)
{
    gm_u32 aged = GM_PRIORITY_COUNT;
    gm_u32 entry = 0;
    gm_u32 i;
    for (i = 1; i < GM_PRIORITY_COUNT && aged == GM_PRIORITY_COUNT; i++)
        if (gm_dev_load(w->state + GM_STATE_AGES + i) >= GM_PRIORITY_AGEING_CLAIMS && gm_waiting(w, i))
            aged = i;
    for (i = 0; i <= GM_PRIORITY_COUNT; i++) {
        gm_u32 priority = i == 0 ? aged : i - 1;
        gm_u32 lower;
        if (priority == GM_PRIORITY_COUNT || !gm_take(w, priority, &entry))
            continue;
        if (i == 0)
            gm_dev_count(w->state + GM_STATE_AGED);
        if (priority > 0)
            gm_dev_store(w->state + GM_STATE_AGES + priority, 0);
        for (lower = priority + 1; lower < GM_PRIORITY_COUNT; lower++)
            if (gm_waiting(w, lower))
                gm_dev_count(w->state + GM_STATE_AGES + lower);
        claim->slot = entry & w->mask;
        claim->generation = entry >> 16;
        gm_dev_store(w->state + GM_STATE_SLOTS + 2 * claim->slot, claim->generation);
        gm_read_slot(w, claim);
        return 1;
    }
    return 0;
}

GM_FN GM_GLOBAL gm_u32 *gm_finished(const gm_worker *w, gm_u32 generation)
{
    return w->state + GM_STATE_SLOTS + 2 * (w->mask + 1) + (generation & (2 * w->mask + 1));
}

GM_FN int gm_fence_reached(const gm_worker *w, gm_u32 opcode, gm_u32 slots, gm_u32 generation)
{
    return opcode != GM_OP_BATCH_FENCE || gm_dev_load_acquire(gm_finished(w, generation)) >= slots;
}

GM_FN gm_u32 gm_quota(const gm_worker *w, gm_u32 tenant)
{
    return gm_sys_load(w->control + GM_CONTROL_TENANT_QUOTAS + tenant);
}

/* ---- Parking: a fence that must wait, a tenant over its quota, a LOAD_MISS that finds the IO queue full ---- */

#define GM_PARKED_SLOT 1u /* a fence or a quota */
#define GM_PARKED_IO 2u   /* the IO queue */

/* Counts the parked slots of a kind. */
GM_FN GM_GLOBAL gm_u32 *gm_parked(const gm_worker *w, gm_u32 kind)
{
    return w->state + (kind == GM_PARKED_IO ? GM_STATE_IO_PARKED : GM_STATE_PARKED);
}

GM_FN void gm_count_parked(const gm_worker *w)
{
    gm_sys_store(w->own + GM_WORKER_PARKED, gm_sys_load(w->own + GM_WORKER_PARKED) + 1);
}

GM_FN void gm_park(gm_worker *w, GM_LOCAL gm_claim *claim, gm_u32 kind)
{
    gm_sys_store(w->slots + (gm_u64)claim->slot * GM_SLOT_WORDS + GM_STATUS_WORD, GM_SLOT_REQUEUE);
    gm_count_parked(w);
    gm_dev_store_release(w->state + GM_STATE_SLOTS + 2 * claim->slot + 1, kind);
    gm_dev_add(gm_parked(w, kind), 1);
}

/* Claims a slot again that this worker has taken from where it waited. */
GM_FN void gm_reclaim(const gm_worker *w, GM_LOCAL gm_claim *claim, gm_u32 slot)
{
    claim->slot = slot;
    claim->generation = gm_dev_load(w->state + GM_STATE_SLOTS + 2 * slot);
    gm_read_slot(w, claim);
}

/* A parked slot that can go on now, each in its turn. Slots are looked at only while some are parked, and not while all of
 * those wait for an IO queue that is full. */
GM_FN int gm_unpark(const gm_worker *w, GM_LOCAL gm_claim *claim)
{
    gm_u32 parked_slots = gm_dev_load_acquire(w->state + GM_STATE_PARKED);
    int room = w->io_slots != 0 && gm_dev_load_acquire(w->state + GM_STATE_IO_PARKED) != 0 &&
               gm_dev_load(w->state + GM_STATE_IO_USED) < w->io_slots;
    gm_u32 first;
    gm_u32 i;
    if (parked_slots == 0 && !room)
        return 0;
    first = gm_dev_load(w->state + GM_STATE_UNPARK);
    for (i = 0; i <= w->mask; i++) {
        gm_u32 slot = (first + i) & w->mask;
        GM_GLOBAL gm_u32 *parked = w->state + GM_STATE_SLOTS + 2 * slot + 1;
        GM_GLOBAL gm_u32 *words = w->slots + (gm_u64)slot * GM_SLOT_WORDS;
        gm_u32 kind = gm_dev_load_acquire(parked);
        gm_u32 tenant;
        gm_u32 quota;
        if (kind == 0 || (kind == GM_PARKED_IO && !room))
            continue;
        if (!gm_fence_reached(w, gm_sys_load(words + GM_OPCODE_WORD),
                              gm_sys_load(words + GM_ARG0_WORD + GM_OP_FENCE_ARG_SLOTS),
                              gm_sys_load(words + GM_ARG0_WORD + GM_OP_FENCE_ARG_GENERATION)))
            continue;
        /* A slot that is to be refused waits for no room. */
        tenant = gm_sys_load(words + GM_TENANT_WORD);
        quota = tenant < GM_CONTROL_TENANT_MASK_WORDS ? gm_quota(w, tenant) : 0;
        if (quota != 0 && gm_dev_load(w->state + GM_STATE_RUNNING + tenant) >= quota)
            continue;
        if (!gm_dev_cas(parked, kind, 0))
            continue;
        gm_dev_add(gm_parked(w, kind), 0u - 1u);
        gm_dev_store(w->state + GM_STATE_UNPARK, slot + 1);
        gm_reclaim(w, claim, slot);
        return 1;
    }
    return 0;
}

/* ---- Completing ---- */

GM_FN void gm_clear(GM_LOCAL gm_outcome *out)
{
    gm_u32 i;
    out->fault = GM_FAULT_NONE;
    out->records = 0;
    out->flags = 0;
    for (i = 0; i < 8; i++)
        out->results[i] = 0;
}

GM_FN void gm_complete(gm_worker *w, GM_LOCAL const gm_claim *claim, GM_LOCAL const gm_outcome *out)
{
    gm_u32 status = out->fault == GM_FAULT_NONE ? GM_SLOT_DONE : GM_SLOT_FAULT;
    gm_u32 ticket;
    GM_GLOBAL gm_u32 *entry;
    gm_u32 i;
    /* Counted before the slot is complete: whoever sees it complete sees it counted. Counters order nothing else. */
    w->dirty = 1;
    w->run++;
    gm_dev_count(w->state + GM_STATE_DONE);
    if (claim->opcode < GM_CONTROL_METRIC_WORDS)
        gm_dev_count(w->state + GM_STATE_METRICS + claim->opcode);
    gm_dev_count(w->state + GM_STATE_FAIRNESS + claim->tenant % GM_CONTROL_TENANT_FAIRNESS_WORDS);
    if (claim->priority < GM_PRIORITY_COUNT)
        gm_dev_count(w->state + GM_STATE_PRIORITIES + claim->priority);
    gm_sys_store_release(w->own + GM_WORKER_SLOTS, gm_sys_load(w->own + GM_WORKER_SLOTS) + 1);
    if (status == GM_SLOT_FAULT)
        gm_sys_store(w->own + GM_WORKER_FAULTS, gm_sys_load(w->own + GM_WORKER_FAULTS) + 1);

    gm_sys_store_release(w->slots + (gm_u64)claim->slot * GM_SLOT_WORDS + GM_STATUS_WORD, status);
    ticket = gm_dev_add(w->state + GM_STATE_TICKET, 1);
    entry = w->entries + (gm_u64)(ticket & w->mask) * GM_COMPLETION_WORDS;
    gm_sys_store(entry + GM_COMPLETION_SLOT, claim->slot);
    gm_sys_store(entry + GM_COMPLETION_STATUS, status);
    gm_sys_store(entry + GM_COMPLETION_FAULT, out->fault);
    for (i = 0; i < 8; i++)
        gm_sys_store(entry + GM_COMPLETION_RESULT0 + i, out->results[i]);
    gm_sys_store(entry + GM_COMPLETION_RECORDS, out->records);
    gm_sys_store(entry + GM_COMPLETION_FLAGS, out->flags);
    gm_sys_store_release(entry + GM_COMPLETION_SEQ, ticket + 1);
    if (claim->opcode == GM_OP_BATCH_FENCE)
        gm_dev_store(gm_finished(w, claim->args[GM_OP_FENCE_ARG_GENERATION]), 0);
    /* After the ticket: a fence that waited for this slot then takes a later one, and the host sees it later. */
    gm_dev_add(gm_finished(w, claim->generation), 1);
}

/* ---- LOAD_MISS: requests to the host ----
 *
 * Who waits for the request in a slot of the IO queue: nobody, or a slot of the ring, and whether that counts against its
 * tenant's quota. Under the lock. */

#define GM_IO_NOBODY 0x40000000u  /* a prefetch */
#define GM_IO_COUNTED 0x80000000u /* else the slot plus one, with this where it counts */

GM_FN GM_GLOBAL gm_u32 *gm_io_slot(const gm_worker *w, gm_u32 i) { return w->io + i * GM_IO_IO_SLOT_WORDS; }

/* Publishes the claimed slot's request; 0 where the queue is full. Unless it is a prefetch, the slot belongs to whoever
 * finds the request ended from then on. */
GM_FN int gm_ask(gm_worker *w, GM_LOCAL const gm_claim *claim, gm_u32 bound)
{
    gm_u32 waits = claim->args[GM_OP_LOAD_ARG_PREFETCH] == 0;
    int asked = 0;
    gm_u32 i;
    if (gm_dev_load(w->state + GM_STATE_IO_USED) >= w->io_slots)
        return 0;
    gm_lock(w);
    for (i = 0; i < w->io_slots && !asked; i++) {
        GM_GLOBAL gm_u32 *words = gm_io_slot(w, i);
        GM_GLOBAL gm_u32 *waiter = w->state + GM_STATE_IO + i;
        if (gm_dev_load(waiter) != 0)
            continue;
        gm_dev_store(waiter, waits ? (claim->slot + 1) | (bound ? GM_IO_COUNTED : 0) : GM_IO_NOBODY);
        gm_dev_add(w->state + GM_STATE_IO_USED, 1);
        gm_sys_store(words + GM_IO_OP_TYPE, GM_IO_OP_READ);
        gm_sys_store(words + GM_IO_SRC_HANDLE, claim->args[GM_OP_LOAD_ARG_RESOURCE]);
        gm_sys_store(words + GM_IO_DST_HANDLE, claim->args[GM_OP_LOAD_ARG_DESTINATION]);
        gm_sys_store(words + GM_IO_OFFSET_LO, claim->args[GM_OP_LOAD_ARG_OFFSET_LO]);
        gm_sys_store(words + GM_IO_OFFSET_HI, claim->args[GM_OP_LOAD_ARG_OFFSET_HI]);
        gm_sys_store(words + GM_IO_BYTE_COUNT, claim->args[GM_OP_LOAD_ARG_BYTES]);
        gm_sys_store(words + GM_IO_TAG, claim->slot);
        if (waits) {
            gm_sys_store(w->slots + (gm_u64)claim->slot * GM_SLOT_WORDS + GM_STATUS_WORD, GM_SLOT_WAIT_IO);
            gm_count_parked(w);
        }
        gm_sys_store_release(words + GM_IO_STATUS, GM_SLOT_PUBLISHED);
        asked = 1;
    }
    gm_unlock(w);
    return asked;
}

/* Completes the slot that waits for a request, for good or with a fault. */
GM_FN void gm_end_load(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out, gm_u32 waiter, gm_u32 fault,
                       gm_u32 bytes)
{
    gm_reclaim(w, claim, (waiter & ~GM_IO_COUNTED) - 1);
    gm_clear(out);
    out->fault = fault;
    out->results[0] = bytes;
    if (waiter & GM_IO_COUNTED)
        gm_dev_add(w->state + GM_STATE_RUNNING + claim->tenant, 0u - 1u);
    gm_complete(w, claim, out);
}

/* Frees slots of the queue whose requests the host has ended, up to one that somebody waits for: that slot is completed.
 * 0 where nobody has waited. */
GM_FN int gm_serve_ended(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 waiter = GM_IO_NOBODY;
    gm_u32 bytes = 0;
    gm_u32 number = 0; /* of the error */
    int failed = 0;
    gm_u32 ended;
    gm_u32 i;
    if (w->io_slots == 0 || gm_dev_load(w->state + GM_STATE_IO_USED) == 0)
        return 0;
    ended = gm_sys_load_acquire(w->tails + GM_TAILS_ENDED);
    if (ended == gm_dev_load(w->state + GM_STATE_IO_SEEN))
        return 0;
    gm_lock(w);
    ended = gm_sys_load_acquire(w->tails + GM_TAILS_ENDED);
    for (i = 0; i < w->io_slots && waiter == GM_IO_NOBODY; i++) {
        GM_GLOBAL gm_u32 *words = gm_io_slot(w, i);
        gm_u32 here = gm_dev_load(w->state + GM_STATE_IO + i);
        gm_u32 status = here == 0 ? GM_SLOT_EMPTY : gm_sys_load_acquire(words + GM_IO_STATUS);
        if (status != GM_IO_STATUS_OK && status != GM_IO_STATUS_ERROR)
            continue;
        waiter = here;
        bytes = status == GM_IO_STATUS_OK ? gm_sys_load(words + GM_IO_BYTE_COUNT) : 0;
        number = status == GM_IO_STATUS_OK ? 0 : gm_sys_load(words + GM_IO_TAG);
        failed = status != GM_IO_STATUS_OK;
        gm_sys_store(words + GM_IO_STATUS, GM_SLOT_EMPTY);
        gm_dev_store(w->state + GM_STATE_IO + i, 0);
        gm_dev_add(w->state + GM_STATE_IO_USED, 0u - 1u);
    }
    if (waiter == GM_IO_NOBODY)
        gm_dev_store(w->state + GM_STATE_IO_SEEN, ended);
    gm_unlock(w);
    if (waiter == GM_IO_NOBODY)
        return 0;
    number = number < 0xFFFFu ? number : 0xFFFFu;
    gm_end_load(w, claim, out, waiter, failed ? GM_FAULT_IO_FAILED | number << 16 : GM_FAULT_NONE, bytes);
    return 1;
}

/* The kernel ends: nobody waits for bytes any more. */
GM_FN void gm_drop_loads(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 i;
    for (i = 0; i < w->io_slots; i++) {
        gm_u32 waiter;
        gm_lock(w);
        waiter = gm_dev_load(w->state + GM_STATE_IO + i);
        if (waiter != 0)
            gm_dev_store(w->state + GM_STATE_IO + i, GM_IO_NOBODY);
        gm_unlock(w);
        if (waiter != 0 && waiter != GM_IO_NOBODY)
            gm_end_load(w, claim, out, waiter, GM_FAULT_WORKER_PANICKED, 0);
    }
}

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

/* Runs a core opcode with `n` argument words at `a`; 0 where it is none. *fault is set where it faults, to BAD_ARGUMENT
 * where it wants more words. Observables and the debug log are read and written under the lock. */
GM_FN int gm_core(gm_worker *w, GM_LOCAL const gm_claim *claim, gm_u32 opcode, GM_LOCAL const gm_u32 *a, gm_u32 n,
                  gm_u32 *result, gm_u32 *fault)
{
    gm_u32 len;
    GM_GLOBAL gm_u32 *window = gm_window(w, claim->tenant, &len);
    gm_u32 needs = opcode == GM_OP_NOP || opcode == GM_OP_SHUTDOWN                                           ? 0
                   : opcode == GM_OP_STORE_U32 || opcode == GM_OP_ATOMIC_ADD || opcode == GM_OP_LOAD_U32 ? 2
                                                                                                           : 3;
    gm_u32 value = 0;
    gm_u32 i;
    *result = 0;
    if (n < needs) {
        *fault = GM_FAULT_BAD_ARGUMENT;
        return opcode <= GM_OP_DFA_STEP;
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
        if (a[2] < (1u << GM_OP_TENANT_SHIFT))
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
        cursor = gm_sys_load(log);
        if (cursor < records) {
            GM_GLOBAL gm_u32 *record = log + 1 + (gm_u64)cursor * GM_DEBUG_RECORD_WORDS;
            gm_sys_store(record, a[0]);
            gm_sys_store(record + 1, a[1]);
            gm_sys_store(record + 2, a[2]);
            gm_sys_store(record + 3, claim->slot);
        }
        if (cursor != 0xFFFFFFFFu)
            gm_sys_store_release(log, cursor + 1);
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

/* The inner operations of a packed slot, checked as a whole and run in order; the first that faults faults the slot. The
 * layout is that of crates/protocol/src/packed.rs. */
GM_FN void gm_packed(gm_worker *w, GM_LOCAL const gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 ops = gm_packed_byte(claim, 0);
    gm_u32 total = gm_packed_byte(claim, 1);
    gm_u32 prefix = (2 + 2 * ops + 3) / 4;
    gm_u32 before = 0;
    gm_u32 result = 0;
    gm_u32 i;
    out->fault = GM_FAULT_BAD_PACKED_SLOT;
    if (ops == 0 || ops > 23 || prefix + total > GM_ARGS_PER_SLOT)
        return;
    for (i = 0; i < ops; i++) {
        gm_u32 offset = gm_packed_byte(claim, 3 + 2 * i);
        if (gm_packed_byte(claim, 2 + 2 * i) == GM_OP_BATCH_FENCE || offset < before || offset > total ||
            (i == 0 && offset != 0))
            return;
        before = offset;
    }
    for (i = 2 + 2 * ops; i < 4 * prefix; i++)
        if (gm_packed_byte(claim, i) != 0)
            return;
    for (i = 0; i < ops; i++) {
        gm_u32 offset = gm_packed_byte(claim, 3 + 2 * i);
        gm_u32 end = i + 1 < ops ? gm_packed_byte(claim, 5 + 2 * i) : total;
        gm_u32 fault = GM_FAULT_NONE;
        if (!gm_core(w, claim, gm_packed_byte(claim, 2 + 2 * i), claim->args + prefix + offset, end - offset, &result,
                     &fault))
            return;
        if (fault != GM_FAULT_NONE) {
            if (fault != GM_FAULT_BAD_ARGUMENT)
                out->fault = fault;
            return;
        }
    }
    out->fault = GM_FAULT_NONE;
    out->results[0] = result;
}

/* ---- What a claimed slot asks for ---- */

GM_FN int gm_chunk_is_lent(const gm_worker *w, gm_u32 chunk)
{
    return chunk < gm_sys_load(w->shared + GM_LAUNCH_CHUNKS) &&
           gm_sys_load_acquire(w->chunk_states + chunk) == GM_CHUNK_LENT;
}

/* Runs what the leader can run alone and says GM_GO_AGAIN; else prepares what all lanes run together. */
GM_FN gm_u32 gm_prepare(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 opcode = claim->opcode;
    gm_u32 result = 0;
    gm_u32 fault = GM_FAULT_NONE;
    if (opcode == GM_OP_BATCH_FENCE) {
        out->results[0] = gm_dev_add(w->state + GM_STATE_EPOCH, 1) + 1;
        return GM_GO_AGAIN;
    }
    if (opcode == GM_OP_PACKED_SLOT) {
        gm_packed(w, claim, out);
        return GM_GO_AGAIN;
    }
    if (gm_core(w, claim, opcode, claim->args, GM_ARGS_PER_SLOT, &result, &fault)) {
        out->results[0] = result;
        out->fault = fault;
        return GM_GO_AGAIN;
    }
    if (opcode >= GM_OP_TENANT_BASE && !(opcode & GM_OP_RESERVED_BIT)) {
        gm_u32 longest = 0;
        if ((opcode - GM_OP_TENANT_BASE) >> GM_OP_TENANT_SHIFT != claim->tenant) {
            out->fault = GM_FAULT_FOREIGN_OPCODE;
            return GM_GO_AGAIN;
        }
        claim->image = gm_program(w, opcode, &longest);
        if (claim->image == 0)
            out->fault = GM_FAULT_NO_SUCH_PROGRAM;
        else if (claim->args[GM_PROGRAM_ARG_LEN] > longest)
            out->fault = GM_FAULT_OVER_BUDGET;
        else if (!gm_chunk_is_lent(w, claim->args[GM_PROGRAM_ARG_CHUNK_AFTER] & GM_PROGRAM_MAX_CHUNK_INDEX))
            out->fault = GM_FAULT_CHUNK_NOT_LENT;
        else {
            claim->image--;
            out->fault = gm_vir0_check(w->tables + claim->image, claim->args,
                                       gm_sys_load(w->shared + GM_LAUNCH_CHUNK_BYTES));
            if (out->fault == GM_FAULT_NONE)
                return GM_GO_PROGRAM;
        }
        return GM_GO_AGAIN;
    }
    {
        GM_GLOBAL const gm_u32 *jobs = w->tables + gm_sys_load(w->shared + GM_LAUNCH_JOBS);
        gm_u32 count = jobs[0];
        gm_u32 job = claim->args[GM_STREAM_ARG_JOB];
        gm_u32 i;
        if (job < count && w->tables[jobs[1 + job]] == opcode) {
            claim->image = jobs[1 + job];
            if (gm_chunk_is_lent(w, claim->args[GM_STREAM_ARG_CHUNK]))
                return GM_GO_STREAM;
            out->fault = GM_FAULT_CHUNK_NOT_LENT;
            return GM_GO_AGAIN;
        }
        out->fault = opcode >= GM_OP_STREAM_FIRST && opcode <= GM_OP_STREAM_LAST ? GM_FAULT_NO_SUCH_JOB
                                                                                 : GM_FAULT_UNKNOWN_OPCODE;
        for (i = 0; i < count; i++)
            if (w->tables[jobs[1 + i]] == opcode)
                out->fault = GM_FAULT_NO_SUCH_JOB;
    }
    return GM_GO_AGAIN;
}

/* Admits a claimed slot: tenant, quota, fence. What is refused or parked is dealt with here. */
GM_FN gm_u32 gm_admit(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out, gm_u32 *bound)
{
    gm_u32 tenant = claim->tenant;
    gm_u32 quota;
    *bound = 0;
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
        gm_u32 go = GM_GO_AGAIN;
        int full = 0;
        /* A quota of at least all slots binds nothing. */
        if (quota <= w->mask) {
            if (gm_dev_add(w->state + GM_STATE_RUNNING + tenant, 1) >= quota) {
                gm_dev_add(w->state + GM_STATE_RUNNING + tenant, 0u - 1u);
                gm_park(w, claim, GM_PARKED_SLOT);
                return GM_GO_AGAIN;
            }
            *bound = 1;
        }
        if (claim->opcode != GM_OP_LOAD_MISS) {
            go = gm_prepare(w, claim, out);
            if (go != GM_GO_AGAIN)
                return go;
        } else if (w->io_slots == 0) {
            out->fault = GM_FAULT_NO_IO_QUEUE;
        } else if (!gm_ask(w, claim, *bound)) {
            full = 1;
        } else if (claim->args[GM_OP_LOAD_ARG_PREFETCH] == 0) {
            return GM_GO_AGAIN;
        }
        if (*bound)
            gm_dev_add(w->state + GM_STATE_RUNNING + tenant, 0u - 1u);
        if (full) {
            gm_park(w, claim, GM_PARKED_IO);
            return GM_GO_AGAIN;
        }
    }
    gm_complete(w, claim, out);
    return GM_GO_AGAIN;
}

/* The kernel ends: parked slots will never go on. */
GM_FN void gm_drop_parked(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 slot;
    for (slot = 0; slot <= w->mask && (gm_dev_load_acquire(w->state + GM_STATE_PARKED) != 0 ||
                                       gm_dev_load_acquire(w->state + GM_STATE_IO_PARKED) != 0);
         slot++) {
        GM_GLOBAL gm_u32 *parked = w->state + GM_STATE_SLOTS + 2 * slot + 1;
        gm_u32 kind = gm_dev_load_acquire(parked);
        if (kind == 0 || !gm_dev_cas(parked, kind, 0))
            continue;
        gm_dev_add(gm_parked(w, kind), 0u - 1u);
        gm_reclaim(w, claim, slot);
        gm_clear(out);
        out->fault = GM_FAULT_WORKER_PANICKED;
        gm_complete(w, claim, out);
    }
    gm_drop_loads(w, claim, out);
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
GM_FN gm_u32 gm_turn(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out, gm_u32 *bound, gm_u32 *left)
{
    int ended;
    if (gm_sys_load_acquire(w->control + GM_CONTROL_SHUTDOWN) != 0) {
        gm_drop_parked(w, claim, out);
        *left = GM_LEFT_SHUTDOWN;
        return GM_GO_LEAVE;
    }
    if (w->run >= gm_sys_load(w->shared + GM_LAUNCH_LEASE_SLOTS)) {
        *left = GM_LEFT_SPENT;
        return GM_GO_LEAVE;
    }
    ended = gm_serve_ended(w, claim, out);
    if (ended || gm_unpark(w, claim) || gm_take_next(w, claim)) {
        w->idle = 0;
        if (w->counted) {
            w->counted = 0;
            gm_dev_add(w->state + GM_STATE_IDLE + 2 * w->first, 0u - 1u);
        }
        gm_beat(w->own + GM_WORKER_BEAT);
        if (w->run % 256 == 255)
            gm_serve_mirror(w, 1);
        return ended ? GM_GO_AGAIN : gm_admit(w, claim, out, bound);
    }
    gm_serve_mirror(w, w->dirty && w->idle == 16);
    if (w->idle % 64 == 0)
        gm_beat(w->own + GM_WORKER_BEAT);
    *left = GM_LEFT_IDLE;
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
    gm_u32 bound = 0;
    gm_u32 left = 0;
    gm_u32 go;
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
    w.first = first;
    w.groups = groups;
    w.launch = launch;
    w.idle = 0;
    w.counted = 0;
    w.run = 0;
    w.dirty = 0;
    for (;;) {
        if (gm_leader())
            claim->go = gm_turn(&w, claim, out, &bound, &left);
        gm_barrier();
        go = claim->go;
        if (go == GM_GO_LEAVE)
            break;
        if (go == GM_GO_STREAM) {
            gm_u32 chunk = claim->args[GM_STREAM_ARG_CHUNK];
            gm_stream_run(tables + claim->image, chunks + (gm_u64)chunk * stride, capacity, claim->args,
                          records + (gm_u64)claim->slot * area_words, area_words, work, scratch, out);
        } else if (go == GM_GO_PROGRAM) {
            gm_u32 chunk = claim->args[GM_PROGRAM_ARG_CHUNK_AFTER] & GM_PROGRAM_MAX_CHUNK_INDEX;
            gm_vir0_run(tables + claim->image, chunks + (gm_u64)chunk * stride, capacity, claim->args,
                        records + (gm_u64)claim->slot * area_words, area_words, work, scratch, out,
                        w.own + GM_WORKER_BEAT);
        }
        if (go != GM_GO_AGAIN && gm_leader()) {
            if (bound)
                gm_dev_add(w.state + GM_STATE_RUNNING + claim->tenant, 0u - 1u);
            gm_complete(&w, claim, out);
        }
        gm_barrier();
    }
    if (gm_leader()) {
        if (w.counted)
            gm_dev_add(w.state + GM_STATE_IDLE + 2 * first, 0u - 1u);
        gm_lock(&w);
        gm_mirror(&w);
        gm_unlock(&w);
        gm_sys_store(w.own + GM_WORKER_LEFT, left);
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
