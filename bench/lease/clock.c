/* The wall clock of one process, set off by as many seconds as a file says: 8 bytes, read at every call. All other clocks are true.
   For LD_PRELOAD. (libfaketime also shifts the absolute time-outs of other clocks, so that sleeps fail while it is set back.) */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *offset_s;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("DETNET_CLOCK_OFFSET");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *page = file < 0 ? MAP_FAILED : mmap(0, sizeof *offset_s, PROT_READ, MAP_SHARED, file, 0);
  if (page != MAP_FAILED) offset_s = page;
  if (file >= 0) close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int code = (int)syscall(SYS_clock_gettime, clock, now);
  if (!code && offset_s && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *offset_s;
  return code;
}

int gettimeofday(struct timeval *now, void *zone) {
  struct timespec it;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &it);
  now->tv_sec = it.tv_sec, now->tv_usec = it.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *into) {
  struct timespec it;
  clock_gettime(CLOCK_REALTIME, &it);
  if (into) *into = it.tv_sec;
  return it.tv_sec;
}
