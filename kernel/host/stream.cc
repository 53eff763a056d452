/* Stream opcodes on the host: reads images and cases from standard input, as words, and writes what the cases leave.
 *
 *   1, words, image            the image that the following cases work with
 *   2, capacity, area words, 12 arguments, chunk      a case; the chunk is filled up to a multiple of four bytes
 *   3, times                   runs the last case again so often, and tells how many nanoseconds that took
 *
 * Of each case: fault, 8 results, records, flags, and the words of its records. */

#include "../host.h"

#include "../numbers.h"

#include "../dialect.h"

#include "../bytes.h"

#include "../scan.h"

#include "../blake3.h"

#include "../stream.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

static void need(bool held, const char *what)
{
    if (!held) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static bool read_words(gm_u32 *words, size_t count) { return fread(words, 4, count, stdin) == count; }

/* Words that end with their memory, so that a sanitizer sees what reaches beyond them. */
static gm_u32 *fresh(size_t count)
{
    gm_u32 *words = (gm_u32 *)malloc(count * 4);
    memset(words, 0xA5, count * 4);
    return words;
}

int main()
{
    std::vector<gm_u32> image;
    std::vector<gm_u32> filled;
    gm_u32 head[14];
    gm_u32 command = 0;
    gm_u32 times = 0;
    gm_u8 *chunk = nullptr;
    gm_u32 *area = nullptr;
    gm_u32 *work = nullptr;
    gm_u32 *local = fresh(GM_LOCAL_WORDS);
    gm_outcome out;
    static gm_u32 beat;
    static gm_u32 cancel;

    /* The next case; false at the end. */
    auto next = [&] {
        gm_u32 count;
        while (read_words(&command, 1)) {
            if (command == 3)
                return read_words(&times, 1);
            if (command == 1) {
                need(read_words(&count, 1), "an image is cut short");
                image.resize(count);
                need(read_words(image.data(), count), "an image is cut short");
                continue;
            }
            need(command == 2 && read_words(head, 14), "a case is cut short");
            free(chunk);
            free(area);
            free(work);
            filled.resize(((size_t)head[0] + 3) / 4);
            need(read_words(filled.data(), filled.size()), "a chunk is cut short");
            chunk = (gm_u8 *)malloc(head[0]);
            std::copy_n((const gm_u8 *)filled.data(), head[0], chunk);
            area = fresh(head[1]);
            work = fresh(head[1]);
            memset(local, 0xA5, GM_LOCAL_WORDS * 4);
#ifdef __SANITIZE_ADDRESS__
            gm_u64 end = (gm_u64)head[2 + GM_STREAM_ARG_START] + head[2 + GM_STREAM_ARG_LEN];
            if (end <= head[0]) {
                ASAN_POISON_MEMORY_REGION(chunk + end, head[0] - end);
                ASAN_POISON_MEMORY_REGION(chunk, head[2 + GM_STREAM_ARG_START]);
            }
#endif
            times = 1;
            return true;
        }
        return false;
    };

    bool more = true;
    gm_host_run(1, GM_LANES, [&](unsigned) {
        for (;;) {
            gm_barrier();
            if (gm_leader())
                more = next();
            gm_barrier();
            if (!more)
                return;
            auto began = std::chrono::steady_clock::now();
            for (gm_u32 i = 0; i < times; i++) {
                if (gm_leader())
                    memset(&out, 0, sizeof out);
                gm_barrier();
                gm_stream_run(image.data(), chunk, head[0], head + 2, area, head[1], work, local, &out, &beat, &cancel);
            }
            auto took = std::chrono::steady_clock::now() - began;
            if (!gm_leader())
                continue;
            if (command == 3) {
                gm_u64 nanoseconds = (gm_u64)std::chrono::duration_cast<std::chrono::nanoseconds>(took).count();
                fwrite(&nanoseconds, 8, 1, stdout);
                continue;
            }
            need((gm_u64)out.records * 2 <= head[1], "more records than the area holds");
            fwrite(&out, 4, 11, stdout);
            fwrite(area, 8, out.records, stdout);
        }
    });
    free(chunk);
    free(area);
    free(work);
    free(local);
    return 0;
}
