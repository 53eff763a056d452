/* What a worker is, and the way of a slot through it: claimed, put aside and taken up again, completed. The leader of a
 * group alone runs this.
 *
 * What lies where (the words' numbers are in numbers.h, made from crates/megakernel/src/backend/device/layout.rs):
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
    gm_u32 left;  /* why the worker leaves: GM_LEFT_... */
    gm_u32 bound; /* whether it counts against its tenant's quota */
    gm_u32 args[GM_ARGS_PER_SLOT];
} gm_claim;

#define GM_GO_AGAIN 0u    /* nothing to run: poll again */
#define GM_GO_LEAVE 1u    /* the lease is spent */
#define GM_GO_STREAM 2u   /* all lanes run a stream opcode */
#define GM_GO_PROGRAM 3u  /* all lanes run a program */
#define GM_GO_COMPLETE 4u /* the slot is finished */

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
    gm_u32 from;           /* where counters begin that wrap */
    gm_u32 first;          /* the first worker of this launch */
    gm_u32 groups;         /* workers of this launch */
    gm_u32 launch;         /* its number */
    gm_u32 idle;           /* polls in a row that found nothing */
    gm_u32 counted;        /* whether this worker is counted as idle */
    gm_u32 run;            /* slots run in this lease */
    gm_u32 dirty;          /* whether counters have moved since they were mirrored */
    gm_u32 dropped;        /* at the end: how many places were looked at where slots wait */
} gm_worker;

/* Whether the host wants that what runs ends at once, and that nothing begins that takes long. */
GM_FN int gm_is_cancelled(const gm_worker *w) { return gm_sys_load(w->tails + GM_TAILS_CANCELLED) != 0; }

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
    gm_u32 request = gm_sys_load(w->tails + GM_TAILS_MIRROR);
    if (!now && request == gm_sys_load(w->own + GM_WORKER_MIRRORED))
        return;
    /* Whatever was counted before the host asked is mirrored. */
    request = gm_sys_load_acquire(w->tails + GM_TAILS_MIRROR);
    gm_lock(w);
    gm_mirror(w);
    gm_unlock(w);
    gm_sys_store_release(w->own + GM_WORKER_MIRRORED, request);
}

/* ---- Claiming ---- */

GM_FN int gm_waiting(const gm_worker *w, gm_u32 priority)
{
    return gm_dev_load(w->state + GM_STATE_HEADS + priority) != gm_sys_load(w->tails + priority);
}

/* One ticket of one priority. The entry is read before the ticket is taken: see crates/ring/src/live.rs.
 *
 * Polling orders nothing, as each acquire may cost a GPU its first cache: only a tail that has moved is acquired. So the tail
 * may be seen as it was before the head, and only a tail beyond the head means work. */
GM_FN int gm_take(const gm_worker *w, gm_u32 priority, gm_u32 *entry)
{
    GM_GLOBAL gm_u32 *head = w->state + GM_STATE_HEADS + priority;
    for (;;) {
        gm_u32 ticket = gm_dev_load(head);
        if ((gm_s32)(gm_sys_load(w->tails + priority) - ticket) <= 0)
            return 0;
        (void)gm_sys_load_acquire(w->tails + priority);
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
        claim->generation = entry >> GM_READY_GENERATION_SHIFT;
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
    /* Both wrap, and at most all slots are unfinished: their difference says which is ahead. */
    return opcode != GM_OP_BATCH_FENCE ||
           (gm_s32)(gm_dev_load_acquire(gm_finished(w, generation)) - slots) >= 0;
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

/* A parked slot that can go on now, each in its turn. Slots are looked at only while some are parked, and not while all
 * of those wait for an IO queue that is full. */
GM_FN int gm_unpark(const gm_worker *w, GM_LOCAL gm_claim *claim)
{
    gm_u32 parked_slots = gm_dev_load(w->state + GM_STATE_PARKED);
    int room = w->io_slots != 0 && gm_dev_load(w->state + GM_STATE_IO_PARKED) != 0 &&
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

/* The kernel ends: claims a slot if it is parked; 0 where it is not. */
GM_FN int gm_drop_parked(const gm_worker *w, GM_LOCAL gm_claim *claim, gm_u32 slot)
{
    GM_GLOBAL gm_u32 *parked = w->state + GM_STATE_SLOTS + 2 * slot + 1;
    gm_u32 kind = gm_dev_load_acquire(parked);
    if (kind == 0 || !gm_dev_cas(parked, kind, 0))
        return 0;
    gm_dev_add(gm_parked(w, kind), 0u - 1u);
    gm_reclaim(w, claim, slot);
    return 1;
}

/* ---- Completing ---- */

GM_FN void gm_clear(GM_LOCAL gm_outcome *out)
{
    gm_u32 i;
    out->fault = GM_FAULT_NONE;
    out->records = 0;
    out->flags = 0;
    for (i = 0; i < GM_COMPLETION_RESULTS; i++)
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
    for (i = 0; i < GM_COMPLETION_RESULTS; i++)
        gm_sys_store(entry + GM_COMPLETION_RESULT0 + i, out->results[i]);
    gm_sys_store(entry + GM_COMPLETION_RECORDS, out->records);
    gm_sys_store(entry + GM_COMPLETION_FLAGS, out->flags);
    gm_sys_store_release(entry + GM_COMPLETION_SEQ, ticket + 1);
    if (claim->opcode == GM_OP_BATCH_FENCE)
        gm_dev_store(gm_finished(w, claim->args[GM_OP_FENCE_ARG_GENERATION]), w->from);
    /* After the ticket: a fence that waited for this slot then takes a later one, and the host sees it later. */
    gm_dev_add(gm_finished(w, claim->generation), 1);
}
