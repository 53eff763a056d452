// A CUDA driver without a GPU: the functions of libcuda that crates/megakernel/src/backend/device/cuda calls, with the
// device source, compiled for the host, as the kernel, whatever PTX is loaded. So the back end's calls are tested where there
// is no GPU. A call without a current context, a copy beyond an allocation or a launch that is too large is an error, as
// it is with the real one; new memory holds no zeroes; what is left over when the library is unloaded is told.
//
//   GM_CUDA_FAIL=cuMemAlloc_v2   that function fails
//   GM_CUDA_IS=absent            there is no GPU;
//              old|prohibited    there is one of an old kind, one that takes no kernels,
//              split             one that sees memory at other addresses;
//              stale             the driver is an old one
//
// crates/megakernel/tests/cuda.rs compiles it, as libcuda.so, and runs itself with it; so does scripts/gpu --dry, for
// whose benchmarks it has a second kernel, gm_read, that is called as bench/src/device/read.ptx is.

#include "../host.h"

#include "../numbers.h"
#include "../dialect.h"

#include "../vir0.h"

#include "../bytes.h"

#include "../scan.h"

#include "../blake3.h"
#include "../stream.h"

#include "../worker.h"

#include "../io.h"

#include "../megakernel.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

namespace {

// Of CUresult.
enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    NO_DEVICE = 100,
    INVALID_CONTEXT = 201,
    NOT_FOUND = 500,
    TOO_LARGE = 720,
    UNKNOWN = 999
};

const int UNITS = 3;
const int GROUPS_PER_UNIT = 1;
const unsigned BLOCK = 128;

struct Stream {
    std::thread work;
    void wait()
    {
        if (work.joinable())
            work.join();
    }
};

struct Event {
    Stream *recorded = nullptr;
};

std::atomic<int> contexts{0}, streams{0}, events{0}, modules{0};
std::mutex lock;
std::map<char *, std::pair<size_t, void *>> memory; // by address: its length, and what to free
thread_local void *current = nullptr;
int context = 0, reader = 0; // their addresses stand for the context and the kernel, and for gm_read

bool is(const char *variable, const char *value)
{
    const char *set = std::getenv(variable);
    return set && std::strcmp(set, value) == 0;
}

// New memory, at an address that is a multiple of `align` and of no more, and not zero.
void *allocate(size_t bytes, size_t align)
{
    char *all = (char *)std::malloc(bytes + 3 * align);
    size_t over = (size_t)all % (2 * align);
    char *first = all + (2 * align - over) + align;
    std::memset(all, 0xA5, bytes + 3 * align);
    std::lock_guard<std::mutex> guard(lock);
    memory[first] = {bytes, all};
    return first;
}

Result release(void *address)
{
    std::lock_guard<std::mutex> guard(lock);
    auto found = memory.find((char *)address);
    if (found == memory.end())
        return INVALID_VALUE;
    std::free(found->second.second);
    memory.erase(found);
    return SUCCESS;
}

bool is_allocated(char *from, size_t bytes)
{
    std::lock_guard<std::mutex> guard(lock);
    auto after = memory.upper_bound(from);
    if (after == memory.begin())
        return false;
    --after;
    return from + bytes <= after->first + after->second.first;
}

struct AtEnd {
    ~AtEnd()
    {
        if (contexts || streams || events || modules || !memory.empty())
            std::printf("left over: %d contexts, %d streams, %d events, %d modules, %zu blocks of memory\n",
                        contexts.load(), streams.load(), events.load(), modules.load(), memory.size());
        std::fflush(stdout);
    }
} at_end;

} // namespace

// A function that needs no context, and one that does.
#define FREE_CALL(name, ...)                                                                                           \
    extern "C" int name(__VA_ARGS__)                                                                                   \
    {                                                                                                                  \
        if (is("GM_CUDA_FAIL", #name))                                                                                 \
            return UNKNOWN;
#define CALL(name, ...)                                                                                                \
    FREE_CALL(name, __VA_ARGS__)                                                                                       \
    if (!current)                                                                                                      \
        return INVALID_CONTEXT;
#define END                                                                                                            \
    return SUCCESS;                                                                                                    \
    }

FREE_CALL(cuInit, unsigned)
    if (is("GM_CUDA_IS", "absent"))
        return NO_DEVICE;
END

FREE_CALL(cuDriverGetVersion, int *version)
    *version = is("GM_CUDA_IS", "stale") ? 11080 : 12040;
END

FREE_CALL(cuDeviceGetCount, int *count)
    *count = 1;
END

FREE_CALL(cuDeviceGet, int *device, int number)
    *device = number;
    if (number != 0)
        return INVALID_VALUE;
END

FREE_CALL(cuDeviceGetName, char *name, int len, int)
    std::snprintf(name, len, "Host threads");
END

FREE_CALL(cuDeviceTotalMem_v2, size_t *bytes, int)
    *bytes = (size_t)1 << 30;
END

FREE_CALL(cuDeviceGetAttribute, int *value, int attribute, int)
    switch (attribute) {
    case 16: *value = UNITS; break;
    case 17: *value = 0; break; // whether there is a limit of a kernel's time
    case 19: *value = 1; break; // whether host memory can be mapped,
    case 41: *value = 1; break; // at the same address
    case 20: *value = is("GM_CUDA_IS", "prohibited") ? 2 : 0; break; // the compute mode
    case 75: *value = is("GM_CUDA_IS", "old") ? 6 : 9; break;        // the compute capability
    case 76: *value = 0; break;
    case 95: *value = 1; break; // whether launches can be cooperative
    default: return INVALID_VALUE;
    }
END

FREE_CALL(cuDevicePrimaryCtxRetain, void **made, int)
    contexts++;
    *made = &context;
END

FREE_CALL(cuDevicePrimaryCtxRelease_v2, int)
    contexts--;
END

FREE_CALL(cuCtxSetCurrent, void *set)
    current = set;
END

CALL(cuMemHostAlloc, void **made, size_t bytes, unsigned)
    *made = allocate(bytes, 512);
END

CALL(cuMemFreeHost, void *address)
    return release(address);
}

CALL(cuMemHostGetDevicePointer_v2, gm_u64 *seen, void *address, unsigned)
    *seen = (gm_u64)address + (is("GM_CUDA_IS", "split") ? 4096 : 0);
END

CALL(cuMemAlloc_v2, gm_u64 *made, size_t bytes)
    *made = (gm_u64)allocate(bytes, 256);
END

CALL(cuMemFree_v2, gm_u64 address)
    return release((void *)address);
}

CALL(cuMemcpyHtoDAsync_v2, gm_u64 to, const void *from, size_t bytes, Stream *stream)
    if (!is_allocated((char *)to, bytes))
        return INVALID_VALUE;
    stream->wait();
    std::memcpy((void *)to, from, bytes);
END

CALL(cuMemcpyDtoHAsync_v2, void *to, gm_u64 from, size_t bytes, Stream *stream)
    if (!is_allocated((char *)from, bytes))
        return INVALID_VALUE;
    stream->wait();
    std::memcpy(to, (const void *)from, bytes);
END

CALL(cuStreamCreate, Stream **made, unsigned flags)
    if (flags != 1) // the legacy stream would wait for kernels
        return INVALID_VALUE;
    streams++;
    *made = new Stream;
END

CALL(cuStreamDestroy_v2, Stream *stream)
    stream->wait();
    delete stream;
    streams--;
END

CALL(cuEventCreate, Event **made, unsigned)
    events++;
    *made = new Event;
END

CALL(cuEventRecord, Event *event, Stream *stream)
    event->recorded = stream;
END

CALL(cuEventSynchronize, Event *event)
    event->recorded->wait();
END

CALL(cuEventDestroy_v2, Event *event)
    delete event;
    events--;
END

CALL(cuModuleLoadData, void **made, const char *image)
    if (!std::strstr(image, ".entry gristmill(") && !std::strstr(image, ".entry gm_read("))
        return INVALID_VALUE;
    modules++;
    *made = &modules;
END

CALL(cuModuleUnload, void *)
    modules--;
END

CALL(cuModuleGetFunction, void **made, void *, const char *name)
    *made = std::strcmp(name, "gm_read") == 0 ? &reader : &context;
    if (*made == &context && std::strcmp(name, "gristmill") != 0)
        return NOT_FOUND;
END

CALL(cuOccupancyMaxActiveBlocksPerMultiprocessor, int *groups, void *, int, size_t)
    *groups = GROUPS_PER_UNIT;
END

CALL(cuLaunchCooperativeKernel, void *, unsigned grid, unsigned, unsigned, unsigned block, unsigned, unsigned, unsigned,
     Stream *stream, void **arguments)
    if (grid > UNITS * GROUPS_PER_UNIT)
        return TOO_LARGE;
    if (grid == 0 || block != BLOCK)
        return INVALID_VALUE;
    gm_u64 addresses[5];
    gm_u32 numbers[3];
    for (int i = 0; i < 5; i++)
        std::memcpy(&addresses[i], arguments[i], 8);
    for (int i = 0; i < 3; i++)
        std::memcpy(&numbers[i], arguments[5 + i], 4);
    stream->wait();
    stream->work = std::thread([=] {
        gm_u32 *shared = (gm_u32 *)addresses[0];
        const gm_u8 *chunks = (const gm_u8 *)addresses[1];
        gm_u32 *chunk_states = (gm_u32 *)addresses[2];
        gm_u32 *state = (gm_u32 *)addresses[3];
        const gm_u32 *tables = (const gm_u32 *)addresses[4];
        gm_u32 first = numbers[0], groups = numbers[1], launch = numbers[2];
        std::vector<std::vector<gm_u32>> locals(grid, std::vector<gm_u32>(GM_GROUP_WORDS));
        gm_host_run(grid, GM_LANES, [&](unsigned group) { GM_ENTER(locals[group].data()); });
        // A GPU that completes what nobody has published, or what it has completed.
        bool nowhere = is("GM_CUDA_LIES", "nowhere");
        if (launch != 0 && (nowhere || is("GM_CUDA_LIES", "twice"))) {
            gm_u32 ticket = state[GM_STATE_TICKET];
            gm_u32 mask = shared[GM_LAUNCH_SLOTS] - 1;
            gm_u32 *entries = shared + shared[GM_LAUNCH_ENTRIES];
            gm_u32 *entry = entries + (ticket & mask) * GM_COMPLETION_WORDS;
            gm_u32 last = entries[((ticket - 1) & mask) * GM_COMPLETION_WORDS + GM_COMPLETION_SLOT];
            gm_sys_store(entry + GM_COMPLETION_SLOT, nowhere ? 9999u : last);
            gm_sys_store(entry + GM_COMPLETION_STATUS, GM_SLOT_DONE);
            gm_sys_store_release(entry + GM_COMPLETION_SEQ, ticket + 1);
        }
    });
END

CALL(cuLaunchKernel, void *kernel, unsigned grid, unsigned, unsigned, unsigned block, unsigned, unsigned, unsigned,
     Stream *stream, void **arguments, void **)
    if (kernel != &reader || grid == 0 || block == 0)
        return INVALID_VALUE;
    gm_u64 numbers[3];
    for (int i = 0; i < 3; i++)
        std::memcpy(&numbers[i], arguments[i], 8);
    stream->wait();
    stream->work = std::thread([=] {
        const gm_u32 *words = (const gm_u32 *)numbers[0];
        for (gm_u64 i = 0; i < 4 * numbers[1]; i++)
            *(gm_u32 *)numbers[2] ^= words[i];
    });
END

FREE_CALL(cuGetErrorName, int error, const char **text)
    *text = error == NO_DEVICE ? "CUDA_ERROR_NO_DEVICE" : "CUDA_ERROR";
END

FREE_CALL(cuGetErrorString, int, const char **text)
    *text = "the driver without a GPU refuses";
END
