/* BLAKE3: the values of the subtrees that the leaves of a chunk make. The functions and numbers are those of the BLAKE3
 * paper, chapter 2; which subtrees there are is written in crates/protocol/src/stream.rs.
 *
 * Each lane compresses leaves of its own. Their chaining values lie in local memory, a batch of them at a time, and are
 * joined there in pairs, by all lanes, to one. The leader joins the batches. */

/* Leaves of a batch: 256 KiB, after which the host is asked whether to go on. A power of two. */
#define GM_BLAKE3_BATCH 256u

/* In local memory: the values of a batch, twice, as a level of the tree is written beside the one that is read; a node
 * for each level above the batches; and a word that tells all lanes that the slot was cancelled. */
#define GM_BLAKE3_NODES (2u * GM_BLAKE3_BATCH * GM_STREAM_BLAKE3_VALUE_WORDS)
#define GM_BLAKE3_CANCELLED (GM_BLAKE3_NODES + 32u * GM_STREAM_BLAKE3_VALUE_WORDS)
#if GM_LOCAL_WORDS <= GM_BLAKE3_CANCELLED
#error "local memory is too small for BLAKE3"
#endif

#define GM_BLAKE3_LEAF_BEGINS 1u
#define GM_BLAKE3_LEAF_ENDS 2u
#define GM_BLAKE3_PARENT 4u
#define GM_BLAKE3_ROOT 8u

#define GM_BLAKE3_TURN(x, n) ((x) >> (n) | (x) << (32 - (n)))

#define GM_BLAKE3_MIX(a, b, c, d, x, y)    \
    do {                                   \
        v##a += v##b + m[x];               \
        v##d = GM_BLAKE3_TURN(v##d ^ v##a, 16); \
        v##c += v##d;                      \
        v##b = GM_BLAKE3_TURN(v##b ^ v##c, 12); \
        v##a += v##b + m[y];               \
        v##d = GM_BLAKE3_TURN(v##d ^ v##a, 8);  \
        v##c += v##d;                      \
        v##b = GM_BLAKE3_TURN(v##b ^ v##c, 7);  \
    } while (0)

/* Columns, then diagonals; the arguments are the words of the message in this round's order. */
#define GM_BLAKE3_ROUND(a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q) \
    do {                                                                \
        GM_BLAKE3_MIX(0, 4, 8, 12, a, b);                               \
        GM_BLAKE3_MIX(1, 5, 9, 13, c, d);                               \
        GM_BLAKE3_MIX(2, 6, 10, 14, e, f);                              \
        GM_BLAKE3_MIX(3, 7, 11, 15, g, h);                              \
        GM_BLAKE3_MIX(0, 5, 10, 15, i, j);                              \
        GM_BLAKE3_MIX(1, 6, 11, 12, k, l);                              \
        GM_BLAKE3_MIX(2, 7, 8, 13, n, o);                               \
        GM_BLAKE3_MIX(3, 4, 9, 14, p, q);                               \
    } while (0)

#define GM_BLAKE3_IV0 0x6A09E667u
#define GM_BLAKE3_IV1 0xBB67AE85u
#define GM_BLAKE3_IV2 0x3C6EF372u
#define GM_BLAKE3_IV3 0xA54FF53Au
#define GM_BLAKE3_IV4 0x510E527Fu
#define GM_BLAKE3_IV5 0x9B05688Cu
#define GM_BLAKE3_IV6 0x1F83D9ABu
#define GM_BLAKE3_IV7 0x5BE0CD19u

/* The chaining value `h` after the block `m`, which has `len` bytes. */
GM_FN void gm_blake3_compress(gm_u32 *h, const gm_u32 *m, gm_u64 counter, gm_u32 len, gm_u32 flags)
{
    gm_u32 v0 = h[0], v1 = h[1], v2 = h[2], v3 = h[3], v4 = h[4], v5 = h[5], v6 = h[6], v7 = h[7];
    gm_u32 v8 = GM_BLAKE3_IV0, v9 = GM_BLAKE3_IV1, v10 = GM_BLAKE3_IV2, v11 = GM_BLAKE3_IV3;
    gm_u32 v12 = (gm_u32)counter, v13 = (gm_u32)(counter >> 32), v14 = len, v15 = flags;
    GM_BLAKE3_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    GM_BLAKE3_ROUND(2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8);
    GM_BLAKE3_ROUND(3, 4, 10, 12, 13, 2, 7, 14, 6, 5, 9, 0, 11, 15, 8, 1);
    GM_BLAKE3_ROUND(10, 7, 12, 9, 14, 3, 13, 15, 4, 0, 11, 2, 5, 8, 1, 6);
    GM_BLAKE3_ROUND(12, 13, 9, 11, 15, 10, 14, 8, 7, 2, 5, 3, 0, 1, 6, 4);
    GM_BLAKE3_ROUND(9, 14, 11, 5, 8, 12, 15, 1, 13, 3, 0, 10, 2, 6, 4, 7);
    GM_BLAKE3_ROUND(11, 15, 5, 0, 1, 9, 8, 6, 14, 10, 2, 12, 3, 4, 7, 13);
    h[0] = v0 ^ v8;
    h[1] = v1 ^ v9;
    h[2] = v2 ^ v10;
    h[3] = v3 ^ v11;
    h[4] = v4 ^ v12;
    h[5] = v5 ^ v13;
    h[6] = v6 ^ v14;
    h[7] = v7 ^ v15;
}

GM_FN void gm_blake3_begin(gm_u32 *h)
{
    h[0] = GM_BLAKE3_IV0;
    h[1] = GM_BLAKE3_IV1;
    h[2] = GM_BLAKE3_IV2;
    h[3] = GM_BLAKE3_IV3;
    h[4] = GM_BLAKE3_IV4;
    h[5] = GM_BLAKE3_IV5;
    h[6] = GM_BLAKE3_IV6;
    h[7] = GM_BLAKE3_IV7;
}

/* Four bytes from `at` on, of which those from `len` on are zero. */
GM_FN gm_u32 gm_blake3_word(GM_GLOBAL const gm_u8 *bytes, gm_u32 at, gm_u32 len)
{
    gm_u32 word = at < len ? bytes[at] : 0;
    word |= at + 1 < len ? (gm_u32)bytes[at + 1] << 8 : 0;
    word |= at + 2 < len ? (gm_u32)bytes[at + 2] << 16 : 0;
    word |= at + 3 < len ? (gm_u32)bytes[at + 3] << 24 : 0;
    return word;
}

/* The chaining value of the leaf of `len` bytes, of which there is at least one. */
GM_FN void gm_blake3_leaf(GM_GLOBAL const gm_u8 *bytes, gm_u32 len, gm_u64 counter, gm_u32 root, GM_LOCAL gm_u32 *value)
{
    int eights = ((gm_u64)bytes & 7) == 0;
    gm_u32 flags = GM_BLAKE3_LEAF_BEGINS;
    gm_u32 h[8];
    gm_u32 m[16];
    gm_u32 at;
    gm_u32 i;
    gm_blake3_begin(h);
    for (at = 0; at < len; at += 64) {
        gm_u32 here = len - at < 64 ? len - at : 64;
        if (eights && here == 64) {
            for (i = 0; i < 8; i++) {
                gm_u64 word = gm_eight(bytes + at + 8 * i);
                m[2 * i] = (gm_u32)word;
                m[2 * i + 1] = (gm_u32)(word >> 32);
            }
        } else {
            for (i = 0; i < 16; i++)
                m[i] = gm_blake3_word(bytes + at, 4 * i, here);
        }
        if (len - at <= 64)
            flags |= GM_BLAKE3_LEAF_ENDS | root;
        gm_blake3_compress(h, m, counter, here, flags);
        flags = 0;
    }
    for (i = 0; i < 8; i++)
        value[i] = h[i];
}

/* The chaining value of the parent of two neighbours, which lie behind each other. */
GM_FN void gm_blake3_join(GM_LOCAL const gm_u32 *two, gm_u32 root, GM_LOCAL gm_u32 *value)
{
    gm_u32 h[8];
    gm_u32 m[16];
    gm_u32 i;
    gm_blake3_begin(h);
    for (i = 0; i < 16; i++)
        m[i] = two[i];
    gm_blake3_compress(h, m, 0, 64, GM_BLAKE3_PARENT | root);
    for (i = 0; i < 8; i++)
        value[i] = h[i];
}

/* Joins the `count` values of a batch to one, and returns where it lies. A value without a right neighbour is its own
 * parent. */
GM_FN GM_LOCAL gm_u32 *gm_blake3_reduce(gm_u32 count, gm_u32 root, GM_LOCAL gm_u32 *values, GM_LOCAL gm_u32 *others)
{
    gm_u32 i;
    gm_u32 k;
    while (count > 1) {
        GM_LOCAL gm_u32 *read = values;
        for (i = gm_lane(); i < count / 2; i += GM_LANES)
            gm_blake3_join(read + 16 * i, count == 2 ? root : 0, others + 8 * i);
        if (gm_leader() && count % 2 == 1)
            for (k = 0; k < 8; k++)
                others[8 * (count / 2) + k] = read[8 * (count - 1) + k];
        gm_barrier();
        values = others;
        others = read;
        count = count / 2 + count % 2;
    }
    return values;
}

/* The value of the subtree of `len` bytes from the leaf `counter` on, in the first of the nodes; as that of a root if
 * `root` says so. Returns 0 if the slot was cancelled. */
GM_FN int gm_blake3_subtree(GM_GLOBAL const gm_u8 *bytes, gm_u32 len, gm_u64 counter, gm_u32 root,
                            GM_LOCAL gm_u32 *scratch, GM_GLOBAL gm_u32 *beat, GM_GLOBAL gm_u32 *cancel)
{
    GM_LOCAL gm_u32 *nodes = scratch + GM_BLAKE3_NODES;
    gm_u32 leaves = len / GM_STREAM_BLAKE3_LEAF_BYTES + (len % GM_STREAM_BLAKE3_LEAF_BYTES != 0);
    gm_u32 depth = 0;
    gm_u32 done;
    gm_u32 i;
    for (done = 0; done < leaves; done += GM_BLAKE3_BATCH) {
        gm_u32 count = leaves - done < GM_BLAKE3_BATCH ? leaves - done : GM_BLAKE3_BATCH;
        GM_LOCAL gm_u32 *value;
        if (gm_leader()) {
            gm_beat(beat);
            scratch[GM_BLAKE3_CANCELLED] = gm_sys_load(cancel);
        }
        for (i = gm_lane(); i < count; i += GM_LANES) {
            gm_u32 at = (done + i) * GM_STREAM_BLAKE3_LEAF_BYTES;
            gm_u32 here = len - at < GM_STREAM_BLAKE3_LEAF_BYTES ? len - at : GM_STREAM_BLAKE3_LEAF_BYTES;
            gm_blake3_leaf(bytes + at, here, counter + done + i, leaves == 1 ? root : 0,
                           scratch + GM_STREAM_BLAKE3_VALUE_WORDS * i);
        }
        gm_barrier();
        if (scratch[GM_BLAKE3_CANCELLED] != 0)
            return 0;
        value = gm_blake3_reduce(count, leaves <= GM_BLAKE3_BATCH ? root : 0, scratch, scratch + GM_BLAKE3_NODES / 2);
        if (gm_leader()) {
            /* A finished node for each bit of the number of batches before this one. The last two are joined only now,
             * when it is certain that the subtree goes on, as a root is joined in another way. */
            for (; depth > gm_popcount(done / GM_BLAKE3_BATCH); depth--)
                gm_blake3_join(nodes + 8 * (depth - 2), 0, nodes + 8 * (depth - 2));
            for (i = 0; i < 8; i++)
                nodes[8 * depth + i] = value[i];
            depth++;
        }
        gm_barrier();
    }
    for (; depth > 1; depth--)
        gm_blake3_join(nodes + 8 * (depth - 2), depth == 2 ? root : 0, nodes + 8 * (depth - 2));
    return 1;
}

/* How many of the `len` bytes from `offset` on the next subtree has; `last` says that the file ends with them. It is a
 * power of two of leaves, at a multiple of its own size, but for the end of a file; and no whole file, whose root the
 * host makes. */
GM_FN gm_u32 gm_blake3_piece(gm_u32 len, gm_u64 offset, gm_u32 last)
{
    gm_u32 whole = 0x80000000u >> gm_clz(len);
    gm_u64 most = offset & (0 - offset);
    if (offset == 0)
        return whole == len && len > GM_STREAM_BLAKE3_LEAF_BYTES ? len / 2 : whole;
    if (last && len <= most)
        return len;
    return whole < most ? whole : (gm_u32)most;
}

GM_FN void gm_blake3(GM_GLOBAL const gm_u8 *bytes, GM_LOCAL const gm_u32 *args, GM_GLOBAL gm_u32 *area,
                     gm_u32 area_words, GM_LOCAL gm_u32 *scratch, GM_LOCAL gm_outcome *out, GM_GLOBAL gm_u32 *beat,
                     GM_GLOBAL gm_u32 *cancel)
{
    gm_u64 offset = (gm_u64)args[GM_STREAM_ARG_OFFSET_HI] << 32 | args[GM_STREAM_ARG_OFFSET_LO];
    gm_u32 len = args[GM_STREAM_ARG_LEN];
    gm_u32 last = len % GM_STREAM_BLAKE3_LEAF_BYTES != 0;
    gm_u32 root = offset == 0 && (last || len == GM_STREAM_BLAKE3_LEAF_BYTES) ? GM_BLAKE3_ROOT : 0;
    gm_u32 first = root;
    gm_u32 parts = 0;
    gm_u32 i;
    if (args[GM_STREAM_ARG_MODE] & GM_STREAM_WITHOUT_TREE)
        return;
    if (offset % GM_STREAM_BLAKE3_LEAF_BYTES != 0 || offset + len < offset) {
        if (gm_leader())
            out->fault = GM_FAULT_INDEX_OUT_OF_RANGE;
        return;
    }
    while (len > 0) {
        gm_u32 size = root ? len : gm_blake3_piece(len, offset, last);
        if (area_words / GM_STREAM_BLAKE3_VALUE_WORDS <= parts) {
            if (gm_leader())
                out->fault = GM_FAULT_INDEX_OUT_OF_RANGE;
            return;
        }
        if (!gm_blake3_subtree(bytes, size, offset / GM_STREAM_BLAKE3_LEAF_BYTES, root, scratch, beat, cancel))
            return;
        if (gm_leader())
            for (i = 0; i < 8; i++)
                area[GM_STREAM_BLAKE3_VALUE_WORDS * parts + i] = scratch[GM_BLAKE3_NODES + i];
        parts++;
        if (root && !last) {
            /* The only leaf so far may be the file's, or not. */
            root = 0;
            continue;
        }
        bytes += size;
        offset += size;
        len -= size;
    }
    if (gm_leader()) {
        out->results[GM_STREAM_RESULT_PARTS] = parts;
        out->results[GM_STREAM_RESULT_ROOT] = first != 0;
        out->records = parts * (GM_STREAM_BLAKE3_VALUE_WORDS / 2);
    }
}
