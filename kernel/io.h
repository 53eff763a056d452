/* LOAD_MISS: requests to the host, by a group's leader. What the words are, and who writes them when, is in
 * crates/protocol/src/io.rs and crates/ring/src/live/io.rs.
 *
 * Device memory says who waits for the request in a slot of the IO queue: nobody, or a slot of the ring, and whether that
 * counts against its tenant's quota. Whoever holds the lock writes this, and the device's words of the queue. */

#define GM_IO_NOBODY 0x40000000u  /* a prefetch */
#define GM_IO_COUNTED 0x80000000u /* else the slot plus one, with this where it counts */

GM_FN GM_GLOBAL gm_u32 *gm_io_slot(const gm_worker *w, gm_u32 i) { return w->io + i * GM_IO_SLOT_WORDS; }

/* Publishes the claimed slot's request; 0 where the queue is full. Unless it is a prefetch, the slot belongs to whoever
 * finds the request ended from then on. */
GM_FN int gm_ask(gm_worker *w, GM_LOCAL const gm_claim *claim)
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
        gm_dev_store(waiter, waits ? (claim->slot + 1) | (claim->bound ? GM_IO_COUNTED : 0) : GM_IO_NOBODY);
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

/* The slot of the ring that waits for a request. */
GM_FN gm_u32 gm_waiting_slot(gm_u32 waiter) { return (waiter & ~GM_IO_COUNTED) - 1; }

/* Frees slots of the queue whose requests the host has ended, up to one that somebody waits for: claims that slot, to be
 * completed as `out` then says; 0 where nobody has waited. */
GM_FN int gm_take_ended(gm_worker *w, GM_LOCAL gm_claim *claim, GM_LOCAL gm_outcome *out)
{
    gm_u32 waiter = GM_IO_NOBODY;
    gm_u32 bytes = 0;
    gm_u32 number = 0; /* of the error */
    int failed = 0;
    gm_u32 ended;
    gm_u32 i;
    if (w->io_slots == 0 || gm_dev_load(w->state + GM_STATE_IO_USED) == 0)
        return 0;
    ended = gm_sys_load(w->tails + GM_TAILS_ENDED);
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
    gm_reclaim(w, claim, gm_waiting_slot(waiter));
    gm_clear(out);
    claim->bound = (waiter & GM_IO_COUNTED) != 0;
    out->results[GM_OP_RESULT_VALUE] = bytes;
    if (failed)
        out->fault = GM_FAULT_IO_FAILED |
                     (number < GM_FAULT_REASON_MASK ? number : GM_FAULT_REASON_MASK) << GM_FAULT_DETAIL_SHIFT;
    return 1;
}

/* The kernel ends: claims the slot that waits for the request in slot `i` of the queue; 0 where none does. */
GM_FN int gm_drop_waiting(gm_worker *w, GM_LOCAL gm_claim *claim, gm_u32 i)
{
    GM_GLOBAL gm_u32 *place = w->state + GM_STATE_IO + i;
    gm_u32 waiter;
    gm_lock(w);
    waiter = gm_dev_load(place);
    if (waiter != 0)
        gm_dev_store(place, GM_IO_NOBODY);
    gm_unlock(w);
    if (waiter == 0 || waiter == GM_IO_NOBODY)
        return 0;
    gm_reclaim(w, claim, gm_waiting_slot(waiter));
    return 1;
}
