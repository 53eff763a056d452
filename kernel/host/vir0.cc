/* Runs VIR0 images from a file, with the lanes of one group as threads: vir0 CASES RESULTS [REPEATS].
 *
 * CASES is words: for each case the number of image words, the chunk buffer's bytes, the record area's words, the low
 * and high word of a table index, the twelve argument words, the image, and the chunk buffer filled up to whole words.
 * RESULTS gets for each case the outcome's fault, flags and records, whether the table has the word and the word, and
 * the record area, whose words are 0xA5A5A5A5 where nothing was written. With REPEATS, each case runs so many times,
 * and its nanoseconds for a run are printed. Ends with 1 where a run has written behind its memory. */

#include "../host.h"

#include "../numbers.h"
#include "../dialect.h"
#include "../vir0.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

static const gm_u32 FILL = 0xA5A5A5A5u;
static const size_t GUARD = 64;

static std::vector<gm_u32> read_words(const char *path)
{
    std::vector<gm_u32> words;
    std::FILE *file = std::fopen(path, "rb");
    if (!file)
        return words;
    gm_u32 word;
    while (std::fread(&word, sizeof word, 1, file) == 1)
        words.push_back(word);
    std::fclose(file);
    return words;
}

/* Words with a guard behind them. */
struct Guarded {
    std::vector<gm_u32> words;
    size_t used = 0;

    void reset(size_t count)
    {
        words.assign(count + GUARD, FILL);
        used = count;
    }

    bool intact() const
    {
        for (size_t i = used; i < words.size(); i++)
            if (words[i] != FILL)
                return false;
        return true;
    }
};

struct Case {
    std::vector<gm_u32> image;
    std::vector<gm_u8> chunk; /* of exactly its size, so that a sanitizer sees what is read behind it */
    gm_u32 args[GM_ARGS_PER_SLOT];
    gm_u32 area_words;
    gm_u64 index;
    Guarded area, work, local;
    gm_outcome out;
    bool intact = true;
};

static std::vector<Case> read_cases(const char *path)
{
    std::vector<gm_u32> words = read_words(path);
    std::vector<Case> cases;
    for (size_t at = 0; at + 17 <= words.size();) {
        Case next;
        const gm_u32 *head = words.data() + at;
        const gm_u32 *image = head + 17;
        const gm_u8 *chunk = reinterpret_cast<const gm_u8 *>(image + head[0]);
        next.image.assign(image, image + head[0]);
        next.chunk.assign(chunk, chunk + head[1]);
        next.chunk.shrink_to_fit();
        next.area_words = head[2];
        next.index = head[3] | static_cast<gm_u64>(head[4]) << 32;
        std::memcpy(next.args, head + 5, sizeof next.args);
        at += 17 + head[0] + (head[1] + 3) / 4;
        cases.push_back(std::move(next));
    }
    return cases;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    std::vector<Case> cases = read_cases(argv[1]);
    int repeats = argc > 3 ? std::atoi(argv[3]) : 1;
    static gm_u32 beat;
    static gm_u32 cancel;
    gm_host_run(1, GM_LANES, [&](unsigned) {
        for (Case &one : cases) {
            if (gm_leader()) {
                one.area.reset(one.area_words);
                one.work.reset(one.area_words);
                one.local.reset(GM_LOCAL_WORDS);
            }
            auto begin = std::chrono::steady_clock::now();
            for (int run = 0; run < repeats; run++) {
                if (gm_leader())
                    std::memset(&one.out, 0, sizeof one.out);
                gm_barrier();
                gm_vir0_run(one.image.data(), one.chunk.data(), static_cast<gm_u32>(one.chunk.size()), one.args,
                            one.area.words.data(), one.area_words, one.work.words.data(), one.local.words.data(),
                            &one.out, &beat, &cancel);
            }
            if (gm_leader()) {
                std::chrono::duration<double, std::nano> time = std::chrono::steady_clock::now() - begin;
                if (argc > 3)
                    std::printf("%.1f\n", time.count() / repeats);
                one.intact = one.area.intact() && one.work.intact() && one.local.intact();
                one.work.words.clear();
                one.local.words.clear();
            }
        }
    });
    std::FILE *results = std::fopen(argv[2], "wb");
    if (!results)
        return 2;
    bool intact = true;
    for (const Case &one : cases) {
        int found = 0;
        gm_u32 word = gm_vir0_table_word(one.image.data(), one.index, &found);
        gm_u32 head[5] = {one.out.fault, one.out.flags, one.out.records, static_cast<gm_u32>(found), word};
        std::fwrite(head, sizeof head, 1, results);
        std::fwrite(one.area.words.data(), 4, one.area_words, results);
        intact = intact && one.intact;
    }
    return std::fclose(results) == 0 && intact ? 0 : 1;
}
