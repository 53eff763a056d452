/* A chunk's bytes, shared among the lanes of a group.
 *
 * A span of bytes is divided in one of two ways: in turns, eight bytes a lane, so that what neighbouring lanes read lies
 * together; or in *segments*, one for each lane, where a lane must see bytes in their order. */

/* The lane's segment of from..to: where it begins, and how long it is at most. */
GM_FN gm_u32 gm_segment(gm_u32 from, gm_u32 to, gm_u32 *end)
{
    gm_u32 each = (to - from) / GM_LANES + ((to - from) % GM_LANES != 0);
    gm_u64 begin = from + (gm_u64)each * gm_lane();
    gm_u64 next = begin + each;
    *end = next < to ? (gm_u32)next : to;
    return begin < to ? (gm_u32)begin : to;
}

/* A table of an image: lanes copy it into local memory, a lone lane has it in its cache anyway. */
#if GM_LANES == 1
#define GM_TABLE GM_GLOBAL
#define gm_table(words, scratch, count) (words)
#else
#define GM_TABLE GM_LOCAL
GM_FN GM_LOCAL const gm_u32 *gm_table(GM_GLOBAL const gm_u32 *words, GM_LOCAL gm_u32 *scratch, gm_u32 count)
{
    gm_u32 i;
    for (i = gm_lane(); i < count; i += GM_LANES)
        scratch[i] = words[i];
    gm_barrier();
    return scratch;
}
#endif

/* ---- Single bytes, eight at a time ---- */

/* The eight bytes at an address that is a multiple of eight. */
#if defined(__OPENCL_VERSION__) || defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define gm_eight(p) (*(GM_GLOBAL const gm_u64 *)(p))
#else
GM_FN gm_u64 gm_eight(const gm_u8 *p)
{
    gm_u64 word;
    __builtin_memcpy(&word, p, 8);
    return word;
}
#endif

#define GM_EACH_BYTE(x) ((gm_u64)(x) * (gm_u64)0x0101010101010101)

/* The top bit of each byte that is zero. */
GM_FN gm_u64 gm_zeros(gm_u64 x)
{
    gm_u64 low = GM_EACH_BYTE(0x7F);
    return ~(((x & low) + low) | x | low);
}

/* Where from..to reaches a multiple of eight, or `to`. */
GM_FN gm_u32 gm_aligned(GM_GLOBAL const gm_u8 *bytes, gm_u32 from, gm_u32 to)
{
    gm_u32 over = (0u - (gm_u32)(gm_u64)(bytes + from)) & 7;
    return over < to - from ? from + over : to;
}

/* The first `byte` of from..to, or `to`. In turns: each of `lanes` lanes finds the first of those it looks at. */
GM_FN gm_u32 gm_first_of(GM_GLOBAL const gm_u8 *bytes, gm_u32 from, gm_u32 to, gm_u32 byte, gm_u32 lane, gm_u32 lanes)
{
    gm_u32 at = gm_aligned(bytes, from, to);
    gm_u32 words = (to - at) / 8;
    gm_u32 i;
    for (i = from; i < at; i++)
        if (bytes[i] == byte)
            return i;
    for (i = lane; i < words; i += lanes) {
        gm_u64 found = gm_zeros(gm_eight(bytes + at + 8 * i) ^ GM_EACH_BYTE(byte));
        if (found != 0) {
            gm_u32 low = (gm_u32)found;
            gm_u32 high = (gm_u32)(found >> 32);
            return at + 8 * i + (low != 0 ? gm_ctz(low) / 8 : 4 + gm_ctz(high) / 8);
        }
    }
    for (i = at + 8 * words; i < to; i++)
        if (bytes[i] == byte)
            return i;
    return to;
}

/* The last `byte` of from..to, or NONE; in turns as above. */
GM_FN gm_u32 gm_last_of(GM_GLOBAL const gm_u8 *bytes, gm_u32 from, gm_u32 to, gm_u32 byte, gm_u32 lane, gm_u32 lanes)
{
    gm_u32 at = gm_aligned(bytes, from, to);
    gm_u32 words = (to - at) / 8;
    gm_u32 i;
    for (i = to; i > at + 8 * words; i--)
        if (bytes[i - 1] == byte)
            return i - 1;
    for (i = lane; i < words; i += lanes) {
        gm_u32 place = at + 8 * (words - 1 - i);
        gm_u64 found = gm_zeros(gm_eight(bytes + place) ^ GM_EACH_BYTE(byte));
        if (found != 0) {
            gm_u32 low = (gm_u32)found;
            gm_u32 high = (gm_u32)(found >> 32);
            return place + (high != 0 ? 7 - gm_clz(high) / 8 : 3 - gm_clz(low) / 8);
        }
    }
    for (i = at; i > from; i--)
        if (bytes[i - 1] == byte)
            return i - 1;
    return GM_STREAM_NONE;
}

/* How often `byte` occurs among those of 0..len that this lane looks at; in turns. */
GM_FN gm_u32 gm_count_of(GM_GLOBAL const gm_u8 *bytes, gm_u32 len, gm_u32 byte)
{
    gm_u32 at = gm_aligned(bytes, 0, len);
    gm_u32 words = (len - at) / 8;
    gm_u32 mine = words / GM_LANES + (gm_lane() < words % GM_LANES);
    gm_u32 count = 0;
    gm_u32 i;
    if (gm_leader()) {
        for (i = 0; i < at; i++)
            count += bytes[i] == byte;
        for (i = at + 8 * words; i < len; i++)
            count += bytes[i] == byte;
    }
    bytes += at + 8 * gm_lane();
    while (mine > 0) {
        /* A byte of `sums` counts to 255. */
        gm_u32 block = mine < 255 ? mine : 255;
        gm_u64 sums = 0;
        for (i = 0; i < block; i++)
            sums += gm_zeros(gm_eight(bytes + (gm_u64)i * (8 * GM_LANES)) ^ GM_EACH_BYTE(byte)) >> 7;
        sums = (sums & (gm_u64)0x00FF00FF00FF00FF) + (sums >> 8 & (gm_u64)0x00FF00FF00FF00FF);
        count += (gm_u32)(sums * (gm_u64)0x0001000100010001 >> 48);
        bytes += (gm_u64)block * (8 * GM_LANES);
        mine -= block;
    }
    return count;
}
