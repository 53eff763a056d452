/* A loader of OpenCL whose devices fail when they are told to: the real one, with some calls in between.
 *
 * COARSE_ONLY: devices say that the host cannot share memory with a kernel that runs.
 * FAIL_LAUNCH=N: from launch N on, launching fails. HANG_LAUNCH=N: from launch N on, launching never returns.
 * LOSE_LAUNCH=N: launch N and those behind it run, but waiting for them fails at once, as for a device that is lost. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static int from(const char *name)
{
    const char *text = getenv(name);
    return text ? atoi(text) : 1 << 30;
}

static atomic_int launches;
static atomic_int lost;

int clGetDeviceInfo(void *device, unsigned name, size_t size, void *value, size_t *value_size)
{
    int error = ((int (*)(void *, unsigned, size_t, void *, size_t *))dlsym(RTLD_NEXT, "clGetDeviceInfo"))(
        device, name, size, value, value_size);
    if (name == 0x1053 /* CL_DEVICE_SVM_CAPABILITIES */ && value && getenv("COARSE_ONLY"))
        *(unsigned long *)value = 1; /* CL_DEVICE_SVM_COARSE_GRAIN_BUFFER */
    return error;
}

typedef int enqueue(void *, void *, unsigned, const size_t *, const size_t *, const size_t *, unsigned, void *const *,
                    void **);

int clEnqueueNDRangeKernel(void *queue, void *kernel, unsigned dimensions, const size_t *offset, const size_t *global,
                           const size_t *local, unsigned events, void *const *list, void **event)
{
    int launch = launches++;
    if (launch >= from("FAIL_LAUNCH"))
        return -5; /* CL_OUT_OF_RESOURCES */
    while (launch >= from("HANG_LAUNCH"))
        pause();
    if (launch >= from("LOSE_LAUNCH"))
        lost = 1;
    return ((enqueue *)dlsym(RTLD_NEXT, "clEnqueueNDRangeKernel"))(queue, kernel, dimensions, offset, global, local,
                                                                  events, list, event);
}

int clWaitForEvents(unsigned count, void *const *list)
{
    if (lost)
        return -14; /* CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST */
    return ((int (*)(unsigned, void *const *))dlsym(RTLD_NEXT, "clWaitForEvents"))(count, list);
}
